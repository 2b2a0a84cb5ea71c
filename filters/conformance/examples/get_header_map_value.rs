//! One value of a header map: the first field line of the name, asked for in any case, as the bytes that came.
//!
//! covers: proxy_get_header_map_value proxy_on_request_headers
//!
//! request: GET /path?query
//! send-header: X-Token: 7
//! send-header: x-list: one
//! send-header: x-list: two, three
//! send-header: x-bytes: caf\xe9
//! send-header: x-empty:
//! status: 200
//! body: x-token -> Ok "7"
//! body: X-TOKEN -> Ok "7"
//! body: x-list -> Ok "one"
//! body: x-bytes -> Ok "caf\\xe9"
//! body: x-empty -> Ok ""
//! body: x-missing -> NotFound
//! body: (no name) -> NotFound
//! body: :method -> Ok "GET"
//! body: :path -> Ok "/c/get_header_map_value/path?query"
//! body: :scheme -> Ok "http"
//! body: :authority -> Ok "weir.test"
//! body: host -> Ok "weir.test"
//! body: request trailers -> NotFound
//! body: response headers -> NotFound
//! body: response trailers -> NotFound
//! body: gRPC initial metadata -> NotFound
//! body: gRPC trailing metadata -> NotFound
//! body: call headers -> NotFound
//! body: call trailers -> NotFound
//! body: map 8 -> BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        for name in ["x-token", "X-TOKEN", "x-list", "x-bytes", "x-empty", "x-missing"] {
            say!("{name} -> {}", header(REQUEST, name));
        }
        say!("(no name) -> {}", header(REQUEST, ""));
        for name in [":method", ":path", ":scheme", ":authority", "host"] {
            say!("{name} -> {}", header(REQUEST, name));
        }
        say!("request trailers -> {}", header(REQUEST_TRAILERS, "x-token"));
        say!("response headers -> {}", header(RESPONSE, ":status"));
        say!("response trailers -> {}", header(RESPONSE_TRAILERS, "x-token"));
        say!("gRPC initial metadata -> {}", header(GRPC_INITIAL, "x-token"));
        say!("gRPC trailing metadata -> {}", header(GRPC_TRAILING, "x-token"));
        say!("call headers -> {}", header(CALL_HEADERS, ":status"));
        say!("call trailers -> {}", header(CALL_TRAILERS, "x-token"));
        say!("map 8 -> {}", header(8, "x-token"));
        reply()
    }
}
