//! Once the response headers are out a local response can only break the response off. In on_log it does nothing.
//!
//! covers: proxy_send_local_response proxy_on_response_body proxy_on_log
//!
//! request: GET /?chunk=public&chunk=secret&delay=100
//! connection: reset
//!
//! request: GET /?chunk=public&chunk=private&delay=100
//! status: 200
//! body: publicprivate
//!
//! request: GET /?chunk=public&chunk=secret&delay=100 h2
//! connection: reset

use conformance::*;

guest! {
    fn proxy_on_response_body(_: u32, _: u32, _: u32) -> u32 {
        if buffer(RESPONSE_BODY, 0, u32::MAX).into_bytes().starts_with(b"secret") {
            local_response(502, "", "replaced", &[], NO_GRPC_STATUS);
            return PAUSE;
        }
        CONTINUE
    }

    fn proxy_on_log(_: u32) {
        local_response(502, "", "too late", &[], NO_GRPC_STATUS);
    }
}
