//! Calls that a guest makes to upstreams, and how they end. The host reads them from the guest's memory, the proxy's client
//! carries them out.

use std::time::Duration;

use crate::Status;

/// Field lines in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// An HTTP call as the guest asked for it (`proxy_http_call`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCall {
    /// Name of the upstream, as it stands in the configuration (or a `host:port` that the configuration lists).
    pub upstream: Vec<u8>,
    /// Header lines in order, names in lower case; the host has seen to it that `:method`, `:path` and `:authority` are
    /// present.
    pub headers: Pairs,
    /// The body; may be empty.
    pub body: Vec<u8>,
    /// Trailer lines, names in lower case.
    pub trailers: Pairs,
    /// The time that the guest is ready to wait; `None` where it named no bound. The proxy has a ceiling of its own.
    pub timeout: Option<Duration>,
}

/// The answer to an HTTP call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCallResponse {
    /// Header lines, `:status` first, then the upstream's in order, without the fields of its connection.
    pub headers: Pairs,
    /// The whole body.
    pub body: Vec<u8>,
    /// Trailer lines.
    pub trailers: Pairs,
}

/// A call without an answer. The guest gets a callback with all zeros and finds both parts in `proxy_get_status`, unless
/// its configuration wants a [made-up answer](crate::HttpCallFailure::Synthesize).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct CallFailure {
    /// `BadArgument` where the call cannot be made as asked, `BrokenConnection` where the upstream did not answer,
    /// `InternalFailure` where the answer was refused.
    pub status: Status,
    /// The reason, such as `timeout`, `connect`, `tls`, `reset`, `response too large`, `missing :path`.
    pub reason: String,
}

/// A gRPC call or stream as the guest asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// Name of the upstream, or a serialised `GrpcService`.
    pub upstream: Vec<u8>,
    /// Name of the service, such as `helloworld.Greeter`.
    pub service: Vec<u8>,
    /// Name of the method, such as `SayHello`.
    pub method: Vec<u8>,
    /// Initial metadata, names in lower case.
    pub metadata: Pairs,
    /// The message; empty for a stream.
    pub message: Vec<u8>,
    /// The time to wait; `None` where the guest named no bound.
    pub timeout: Option<Duration>,
}
