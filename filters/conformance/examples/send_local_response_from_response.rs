//! In the response headers phase the filter's reply takes the place of the upstream's.
//!
//! covers: proxy_send_local_response proxy_on_response_headers
//!
//! request: GET /?body=secret
//! status: 502
//! header: x-mine: 1
//! no-header: x-origin
//! body: replaced
//! upstream: GET /c/send_local_response_from_response/?body=secret
//!
//! request: GET /?body=secret h2
//! status: 502
//! header: x-mine: 1
//! no-header: x-origin
//! body: replaced

use conformance::*;

guest! {
    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        if header(RESPONSE, "x-origin").is_ok() {
            local_response(502, "", "replaced", &[("x-mine", "1")], NO_GRPC_STATUS);
            return PAUSE;
        }
        CONTINUE
    }
}
