//! A gRPC request is refused in the form that a gRPC client reads: status 200, the verdict in grpc-status.
//!
//! covers: proxy_send_local_response
//!
//! request: POST / h2
//! send-header: content-type: application/grpc
//! send-header: te: trailers
//! send-body: question
//! status: 200
//! header: content-type: application/grpc
//! header-or-trailer: grpc-status: 7
//! header-or-trailer: grpc-message: no

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(403, "", "no", &[], 7);
        PAUSE
    }
}
