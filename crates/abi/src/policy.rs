//! Choices that a configuration makes for a filter, and that the host and the proxies act on.

/// What a stream gets when the VM of one of its filters is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FailPolicy {
    /// The stream goes on without the filter. The default, as in Traffic Server's own plugin.
    #[default]
    Open,
    /// The stream is answered with 503, or reset where response headers have gone out.
    Closed,
}

/// How a guest learns that an HTTP call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpCallFailure {
    /// All counts of the callback are zero; `proxy_get_status` gives the reason (specification).
    #[default]
    Zeros,
    /// A made-up answer, `:status` 503 or 504 and a text, as Envoy's client gives.
    Synthesize,
}
