//! A whole header map is replaced; pseudo-headers that the new one lacks keep their values.
//!
//! covers: proxy_set_header_map_pairs
//!
//! request: GET /
//! send-header: x-old: 1
//! status: 200
//! header: x-request: Ok
//! header: x-response: Ok
//! header: x-new: b
//! header: x-new: caf\xe9
//! no-header: x-origin
//! upstream: GET /c/set_header_map_pairs/
//! upstream-header: host: weir.test
//! upstream-header: x-new: 1
//! upstream-header: x-new: 2
//! upstream-no-header: x-old

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("{}", set_pairs(REQUEST, &[("x-new", "1"), ("X-New", "2")]));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let pairs: [(&str, &[u8]); 3] = [(":status", b"200"), ("x-new", b"b"), ("x-new", b"caf\xe9")];
        let response = set_pairs_raw(RESPONSE, encode_pairs(&pairs));
        add_header(RESPONSE, "x-request", take_report().trim());
        add_header(RESPONSE, "x-response", response.to_string());
        CONTINUE
    }
}
