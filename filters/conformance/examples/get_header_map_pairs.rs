//! A whole header map: pseudo-headers first, names in lower case, one pair for each field line, in order. The argument
//! of the callback is their number.
//!
//! covers: proxy_get_header_map_pairs proxy_on_request_headers
//!
//! request: GET /
//! send-header: x-b: 1
//! send-header: X-B: 2
//! send-header: X-A: caf\xe9
//! send-header: te: trailers
//! send-header: connection: keep-alive
//! status: 200
//! body: 8
//! body: :authority: weir.test
//! body: :path: /c/get_header_map_pairs/
//! body: :method: GET
//! body: :scheme: http
//! body: x-b: 1
//! body: x-b: 2
//! body: x-a: caf\\xe9
//! body: te: trailers
//! body: response headers -> Ok ""
//! body: request trailers -> Ok ""
//! body: call headers -> Ok ""
//! body: map 8 -> BadArgument
//!
//! request: GET / h2
//! send-header: x-b: 1
//! send-header: x-b: 2
//! send-header: x-a: caf\xe9
//! status: 200
//! body: 7
//! body: :authority: weir.test
//! body: :path: /c/get_header_map_pairs/
//! body: :method: GET
//! body: :scheme: http
//! body: x-b: 1
//! body: x-b: 2
//! body: x-a: caf\\xe9
//! body: response headers -> Ok ""
//! body: request trailers -> Ok ""
//! body: call headers -> Ok ""
//! body: map 8 -> BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, count: u32, _: u32) -> u32 {
        say!("{count}");
        for line in show_pairs(&pairs(REQUEST).into_bytes()) {
            say!("{line}");
        }
        say!("response headers -> {}", pairs(RESPONSE));
        say!("request trailers -> {}", pairs(REQUEST_TRAILERS));
        say!("call headers -> {}", pairs(CALL_HEADERS));
        say!("map 8 -> {}", pairs(8));
        reply()
    }
}
