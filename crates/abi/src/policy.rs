//! Choices that a configuration makes for a filter, and that the host and the proxies act on.

use crate::Pairs;

/// The fate of a stream when the VM of one of its filters is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FailPolicy {
    /// The stream goes on without the filter. The default, as in Traffic Server's own plugin.
    #[default]
    Open,
    /// The stream is answered with 503, or reset where response headers have gone out.
    Closed,
}

/// The form in which a guest learns that an HTTP call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpCallFailure {
    /// All counts of the callback are zero; `proxy_get_status` gives the reason (specification).
    #[default]
    Zeros,
    /// A made-up answer, `:status` 503 or 504 and a text, as Envoy's client gives.
    Synthesize,
}

/// A made-up request that warms up a VM before its snapshot is taken. It is answered with 200 and no body, unless the guest
/// answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WarmUp {
    /// Header lines in order, names in lower case, `:method`, `:path` and the other pseudo-headers first.
    pub headers: Pairs,
    /// The body; may be empty.
    pub body: Vec<u8>,
}
