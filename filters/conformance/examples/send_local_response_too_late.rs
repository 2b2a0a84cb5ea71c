//! Once the response headers are out a local response can only break the response off. In on_log it does nothing.
//!
//! covers: proxy_send_local_response proxy_on_response_body proxy_on_log
//!
//! request: GET /?body=secret
//! connection: reset
//!
//! request: GET /?body=public
//! status: 200
//! body: public
//!
//! request: GET /?body=secret h2
//! connection: reset

use conformance::*;

guest! {
    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        if buffer(RESPONSE_BODY, 0, u32::MAX).into_bytes().starts_with(b"secret") {
            local_response(502, "", "replaced", &[], NO_GRPC_STATUS);
            return PAUSE;
        }
        if end == 1 { CONTINUE } else { PAUSE }
    }

    fn proxy_on_log(_: u32) {
        local_response(502, "", "too late", &[], NO_GRPC_STATUS);
    }
}
