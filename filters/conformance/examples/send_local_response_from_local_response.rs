//! A filter's reply takes the place of another's, or of the proxy's, while that passes the filters. Its own stays.
//!
//! covers: proxy_send_local_response proxy_on_response_headers
//! configuration: page
//! then: the one that answers
//! configuration: gate
//!
//! request: GET /
//! status: 401
//! header: x-page: page
//! body: our page
//! upstream: none
//!
//! request: GET / h2
//! status: 401
//! header: x-page: page
//! body: our page
//! upstream: none

use conformance::*;

fn name() -> String {
    buffer(PLUGIN_CONFIGURATION, 0, u32::MAX).into_text()
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        if name() == "page" {
            return CONTINUE;
        }
        local_response(401, "", "first", &[], NO_GRPC_STATUS);
        PAUSE
    }

    // Each of the two replies once more: the gate's own reply stays, and the page takes its place.
    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(401, "", "our page", &[("x-page", &name())], NO_GRPC_STATUS);
        PAUSE
    }
}
