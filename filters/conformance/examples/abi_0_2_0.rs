//! A module of ABI 0.2.0 is served like one of 0.2.1.
//!
//! covers: proxy_on_request_headers
//!
//! request: GET /
//! status: 200
//! body: end 1
//! body: missing: NotFound

use conformance::*;

guest! {
    abi proxy_abi_version_0_2_0;

    fn proxy_on_request_headers(_: u32, _: u32, end: u32) -> u32 {
        say!("end {end}");
        say!("missing: {}", header(REQUEST, "x-gone"));
        reply()
    }
}
