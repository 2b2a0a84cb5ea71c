//! Envoy's response flags that a proxy without health checks and retries can raise (`StreamInfo::CoreResponseFlag`): bits of
//! the property `response.flags`.

/// The upstream did not answer in time.
pub const UPSTREAM_TIMEOUT: i64 = 1 << 2;
/// The proxy reset the stream.
pub const LOCAL_RESET: i64 = 1 << 3;
/// The upstream reset the stream, or its answer broke off.
pub const UPSTREAM_REMOTE_RESET: i64 = 1 << 4;
/// No connection to the upstream.
pub const UPSTREAM_CONNECTION_FAILURE: i64 = 1 << 5;
/// All connections to the upstream were in use.
pub const UPSTREAM_OVERFLOW: i64 = 1 << 7;
/// No route.
pub const NO_ROUTE: i64 = 1 << 8;
/// The client went away.
pub const DOWNSTREAM_TERMINATION: i64 = 1 << 14;
/// No byte moved for too long.
pub const STREAM_IDLE_TIMEOUT: i64 = 1 << 16;
