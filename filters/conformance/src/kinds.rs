//! The numbers of the ABI.

/// Request headers.
pub const REQUEST: u32 = 0;
/// Request trailers.
pub const REQUEST_TRAILERS: u32 = 1;
/// Response headers.
pub const RESPONSE: u32 = 2;
/// Response trailers.
pub const RESPONSE_TRAILERS: u32 = 3;
/// Initial metadata of a gRPC call.
pub const GRPC_INITIAL: u32 = 4;
/// Trailing metadata of a gRPC call.
pub const GRPC_TRAILING: u32 = 5;
/// Headers of the answer to an HTTP call.
pub const CALL_HEADERS: u32 = 6;
/// Trailers of the answer to an HTTP call.
pub const CALL_TRAILERS: u32 = 7;

/// Request body.
pub const REQUEST_BODY: u32 = 0;
/// Response body.
pub const RESPONSE_BODY: u32 = 1;
/// Bytes from a TCP client.
pub const DOWNSTREAM_DATA: u32 = 2;
/// Bytes from a TCP upstream.
pub const UPSTREAM_DATA: u32 = 3;
/// Body of the answer to an HTTP call.
pub const CALL_BODY: u32 = 4;
/// Message of a gRPC call.
pub const GRPC_MESSAGE: u32 = 5;
/// Configuration of the VM.
pub const VM_CONFIGURATION: u32 = 6;
/// Configuration of the plugin.
pub const PLUGIN_CONFIGURATION: u32 = 7;
/// Arguments of a foreign function.
pub const CALL_DATA: u32 = 8;

/// Direction of the request.
pub const REQUEST_STREAM: u32 = 0;
/// Direction of the response.
pub const RESPONSE_STREAM: u32 = 1;

/// Level trace.
pub const TRACE: u32 = 0;
/// Level debug.
pub const DEBUG: u32 = 1;
/// Level info.
pub const INFO: u32 = 2;
/// Level warning.
pub const WARN: u32 = 3;
/// Level error.
pub const ERROR: u32 = 4;
/// Level critical.
pub const CRITICAL: u32 = 5;

/// Counter.
pub const COUNTER: u32 = 0;
/// Gauge.
pub const GAUGE: u32 = 1;
/// Histogram.
pub const HISTOGRAM: u32 = 2;

/// Go on.
pub const CONTINUE: u32 = 0;
/// Wait. From a headers callback: body and all; from a body callback: and keep what came.
pub const PAUSE: u32 = 1;

/// No gRPC status.
pub const NO_GRPC_STATUS: u32 = u32::MAX;

/// An address beyond the end of any guest's memory.
pub const WILD: u32 = 0xffff_fff0;
