//! What a guest wants to happen after a callback (specification: "Action"; the finer values are Envoy's).

/// Wish returned by `proxy_on_request_headers` and `proxy_on_response_headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersAction {
    /// On to the next filter.
    Continue,
    /// Headers stop here, body callbacks still run. Only with `allow_on_headers_stop_iteration`.
    StopIteration,
    /// On to the next filter, and the message ends with these headers.
    ContinueAndEndStream,
    /// Everything stops; the body that arrives is kept, up to the body limit.
    StopAllAndBuffer,
    /// Everything stops; no more of the body is read than the buffers take.
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

/// Wish returned by `proxy_on_request_body` and `proxy_on_response_body`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyAction {
    /// On to the next filter with all that has been kept.
    Continue,
    /// Keep the bytes and come again with more, up to the body limit.
    StopAndBuffer,
    /// Keep the bytes; at the body limit the sender is held back.
    StopAndWatermark,
    /// Stop; the bytes of this call are not kept, the filter has taken them.
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

/// Wish returned by trailer, TCP data and new-connection callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// Go on.
    Continue,
    /// Stop until the guest resumes the stream.
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

/// What became of [`Vm::finish_stream`](crate::Vm::finish_stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// `on_done`, `on_log` and `on_delete` have run; the handle has been dropped.
    Complete,
    /// The guest answered false from `on_done`. `on_log` and `on_delete` follow when it calls `proxy_done`, at the
    /// latest after [`DONE_WAIT`](weir_abi::limits::DONE_WAIT).
    Deferred,
}
