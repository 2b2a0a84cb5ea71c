//! The filter answers by itself: status, headers, body; text/plain where it names no type. Nothing goes upstream.
//!
//! covers: proxy_send_local_response
//!
//! request: GET /
//! status: 418
//! header: x-list: 1
//! header: x-list: caf\xe9
//! header: content-type: text/plain
//! body: short and stout
//! upstream: none
//!
//! request: POST / h2
//! send-body: question
//! status: 418
//! header: x-list: 1
//! header: x-list: caf\xe9
//! header: content-type: text/plain
//! body: short and stout
//! upstream: none

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let headers: [(&str, &[u8]); 2] = [("x-list", b"1"), ("X-List", b"caf\xe9")];
        local_response_raw(418, "a teapot", b"short and stout", &encode_pairs(&headers), NO_GRPC_STATUS);
        PAUSE
    }
}
