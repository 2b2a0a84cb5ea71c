//! Actions that a guest returns from a callback (specification: "Action"; the finer values are Envoy's).

/// Action of `proxy_on_request_headers` and `proxy_on_response_headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersAction {
    /// Headers flow to the next filter.
    Continue,
    /// Headers stop here, body callbacks still run. Only with `allow_on_headers_stop_iteration`.
    StopIteration,
    /// Headers flow to the next filter, and the message ends with them.
    ContinueAndEndStream,
    /// Headers, body and trailers stop; the proxy keeps the body that arrives, up to the body limit.
    StopAllAndBuffer,
    /// Headers, body and trailers stop; the proxy reads no more of the body than its buffers take.
    StopAllAndWatermark,
}

impl HeadersAction {
    /// Reads the returned number as Envoy does: 1 is a full stop unless `allow_stop_iteration`, numbers without a
    /// meaning stop everything.
    pub(crate) const fn from_wire(value: u32, allow_stop_iteration: bool) -> Self {
        match value {
            0 => Self::Continue,
            1 if allow_stop_iteration => Self::StopIteration,
            2 => Self::ContinueAndEndStream,
            3 => Self::StopAllAndBuffer,
            _ => Self::StopAllAndWatermark,
        }
    }
}

/// Action of `proxy_on_request_body` and `proxy_on_response_body`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyAction {
    /// All bytes that were kept flow to the next filter.
    Continue,
    /// The proxy keeps the bytes and calls again with more, up to the body limit.
    StopAndBuffer,
    /// The proxy keeps the bytes; at the body limit it stops reading from the sender.
    StopAndWatermark,
    /// The proxy drops the bytes of this call, which the filter has taken, and calls again with more.
    StopNoBuffer,
}

impl BodyAction {
    /// Reads the returned number as Envoy does.
    pub(crate) const fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::Continue,
            1 => Self::StopAndBuffer,
            2 => Self::StopAndWatermark,
            _ => Self::StopNoBuffer,
        }
    }
}

/// Action of callbacks for trailers, TCP data and new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// The stream flows.
    Continue,
    /// The stream stops until the guest resumes it.
    Stop,
}

impl StreamAction {
    pub(crate) const fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::Continue,
            _ => Self::Stop,
        }
    }
}

/// The result of [`Vm::finish_stream`](crate::Vm::finish_stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// `on_done`, `on_log` and `on_delete` have run; the handle has been dropped.
    Complete,
    /// The guest answered false from `on_done`. `on_log` and `on_delete` follow when it calls `proxy_done`, at the
    /// latest after [`DONE_WAIT`](weir_abi::limits::DONE_WAIT).
    Deferred,
}
