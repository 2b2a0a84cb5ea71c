//! Trailers of a request, read and changed, in both protocols.
//!
//! covers: proxy_on_request_trailers
//! ats/lacks: trailers
//!
//! request: POST /
//! send-chunk: hello
//! send-trailer: x-sum: 1
//! send-trailer: x-bytes: caf\xe9
//! status: 200
//! header: x-report: 2 trailers
//! header: x-report: x-sum: 1
//! header: x-report: x-bytes: caf\\xe9
//! header: x-report: value Ok "1"
//! header: x-report: missing NotFound
//! upstream: POST /c/request_trailers/
//! upstream-body: hello
//! upstream-trailer: x-sum: 2
//! upstream-trailer: x-new: caf\xe9
//! upstream-no-trailer: x-bytes
//!
//! request: POST / h2
//! send-chunk: hello
//! send-trailer: x-sum: 1
//! send-trailer: x-bytes: caf\xe9
//! status: 200
//! header: x-report: 2 trailers
//! header: x-report: value Ok "1"
//! upstream: POST /c/request_trailers/
//! upstream-body: hello
//! upstream-trailer: x-sum: 2
//! upstream-trailer: x-new: caf\xe9
//! upstream-no-trailer: x-bytes

use conformance::*;

guest! {
    fn proxy_on_request_trailers(_: u32, count: u32) -> u32 {
        say!("{count} trailers");
        for line in show_pairs(&pairs(REQUEST_TRAILERS).into_bytes()) {
            say!("{line}");
        }
        say!("value {}", header(REQUEST_TRAILERS, "X-Sum"));
        say!("missing {}", header(REQUEST_TRAILERS, "x-gone"));
        replace_header(REQUEST_TRAILERS, "x-sum", "2");
        remove_header(REQUEST_TRAILERS, "x-bytes");
        add_header(REQUEST_TRAILERS, "x-new", b"caf\xe9");
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        CONTINUE
    }
}
