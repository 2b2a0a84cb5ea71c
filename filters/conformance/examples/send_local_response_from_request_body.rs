//! A filter refuses after it has seen the body, or its trailers.
//!
//! covers: proxy_send_local_response proxy_on_request_body proxy_on_request_trailers
//!
//! request: POST /
//! send-body: bad
//! status: 403
//! body: body
//! upstream: none
//!
//! request: POST /
//! ats/skips: trailers
//! send-chunk: good
//! send-trailer: x-bad: 1
//! status: 403
//! body: trailers
//! upstream: none
//!
//! request: POST /
//! send-body: good
//! status: 200
//! body: good

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        CONTINUE
    }

    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if buffer(REQUEST_BODY, 0, u32::MAX).into_bytes() == b"bad" {
            local_response(403, "", "body", &[], NO_GRPC_STATUS);
            return PAUSE;
        }
        if end == 1 { CONTINUE } else { PAUSE }
    }

    fn proxy_on_request_trailers(_: u32, _: u32) -> u32 {
        local_response(403, "", "trailers", &[], NO_GRPC_STATUS);
        PAUSE
    }
}
