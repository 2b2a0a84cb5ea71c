//! An empty list restricts nothing.
//!
//! covers: proxy_get_header_map_value
//! filter: capability_restriction_config.allowed_capabilities = {}
//!
//! request: GET /
//! status: 200
//! body: Ok "GET"

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("{}", header(REQUEST, ":method"));
        reply()
    }
}
