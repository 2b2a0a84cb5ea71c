//! A reply takes the place of a reply, the filter's own or the proxy's, while the first passes the filters.
//!
//! covers: proxy_send_local_response proxy_on_response_headers
//!
//! request: GET /
//! status: 401
//! header: x-page: 1
//! body: our page
//! upstream: none
//!
//! request: GET / h2
//! status: 401
//! header: x-page: 1
//! body: our page
//! upstream: none
//!
//! request: GET /late
//! status: 401
//! header: x-page: 1
//! body: our page
//! upstream: none

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(401, "", "first", &[], NO_GRPC_STATUS);
        PAUSE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(401, "", "our page", &[("x-page", "1")], NO_GRPC_STATUS);
        PAUSE
    }
}
