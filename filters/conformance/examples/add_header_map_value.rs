//! Adding gives a further field line; pseudo-headers, Host and Content-Length can stand only once and are replaced.
//!
//! covers: proxy_add_header_map_value proxy_on_response_headers
//!
//! request: GET /
//! send-header: x-list: one
//! status: 200
//! header: x-report: present: Ok
//! header: x-report: absent: Ok
//! header: x-report: bytes: Ok
//! header: x-report: empty: Ok
//! header: x-report: :path: Ok
//! header: x-report: host: Ok
//! header: x-report: map 8: BadArgument
//! header: x-origin: 1
//! header: x-origin: 2
//! upstream: GET /c/add_header_map_value/other
//! upstream-header: host: other.test
//! upstream-header: x-list: one
//! upstream-header: x-list: two
//! upstream-header: x-new: 1
//! upstream-header: x-bytes: caf\xe9
//! upstream-header: x-empty:

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("present: {}", add_header(REQUEST, "X-List", "two"));
        say!("absent: {}", add_header(REQUEST, "x-new", "1"));
        say!("bytes: {}", add_header(REQUEST, "x-bytes", b"caf\xe9"));
        say!("empty: {}", add_header(REQUEST, "x-empty", ""));
        say!(":path: {}", add_header(REQUEST, ":path", "/c/add_header_map_value/other"));
        say!("host: {}", add_header(REQUEST, "host", "other.test"));
        say!("map 8: {}", add_header(8, "x-new", "1"));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        add_header(RESPONSE, "x-origin", "2");
        CONTINUE
    }
}
