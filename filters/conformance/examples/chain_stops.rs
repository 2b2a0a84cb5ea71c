//! A local response of a filter keeps the request from those behind it; those before it see the response.
//!
//! covers: proxy_send_local_response
//! configuration: first
//! then: the one that answers
//! configuration: second
//! then: the one that sees nothing
//! configuration: third
//!
//! request: GET /
//! status: 403
//! header: x-seen-by: first
//! header: x-seen-by: second
//! no-header: x-request-seen-by-third
//! body: no
//! upstream: none

use conformance::*;

fn name() -> String {
    buffer(PLUGIN_CONFIGURATION, 0, u32::MAX).into_text()
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        match name().as_str() {
            "first" => CONTINUE,
            "second" => {
                local_response(403, "", "no", &[], NO_GRPC_STATUS);
                PAUSE
            }
            _ => {
                local_response(500, "", "the third filter saw the request", &[], NO_GRPC_STATUS);
                PAUSE
            }
        }
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-seen-by", name());
        CONTINUE
    }
}
