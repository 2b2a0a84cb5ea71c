//! A filter may add trailers to a message that has none when it sees the end of the body. No trailers callback follows.
//!
//! covers: proxy_on_request_body proxy_on_response_body proxy_add_header_map_value
//! ats/lacks: trailers
//!
//! request: POST /?chunk=hello
//! send-header: te: trailers
//! send-chunk: question
//! status: 200
//! body: hello
//! trailer: x-response-sum: Ok
//! upstream: POST /c/trailers_made_on_demand/?chunk=hello
//! upstream-body: question
//! upstream-trailer: x-request-sum: 1
//!
//! request: POST /?chunk=hello h2
//! send-header: te: trailers
//! send-chunk: question
//! status: 200
//! body: hello
//! trailer: x-response-sum: Ok
//! upstream: POST /c/trailers_made_on_demand/?chunk=hello
//! upstream-body: question
//! upstream-trailer: x-request-sum: 1

use conformance::*;

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 1 {
            say!("{}", add_header(REQUEST_TRAILERS, "x-request-sum", "1"));
        }
        CONTINUE
    }

    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 1 {
            add_header(RESPONSE_TRAILERS, "x-response-sum", take_report().trim());
        }
        CONTINUE
    }
}
