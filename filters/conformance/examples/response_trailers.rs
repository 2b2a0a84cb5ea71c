//! Trailers of a response, read and changed, in both protocols.
//!
//! covers: proxy_on_response_trailers
//! ats/lacks: trailers
//!
//! request: GET /?chunk=hello&trailer=x-sum:1&trailer=x-old:1
//! send-header: te: trailers
//! status: 200
//! body: hello
//! trailer: x-report: 2 trailers
//! trailer: x-report: x-sum: 1
//! trailer: x-report: x-old: 1
//! trailer: x-report: value Ok "1"
//! trailer: x-sum: 2
//! no-trailer: x-old
//!
//! request: GET /?chunk=hello&trailer=x-sum:1&trailer=x-old:1 h2
//! send-header: te: trailers
//! status: 200
//! body: hello
//! trailer: x-report: 2 trailers
//! trailer: x-sum: 2
//! no-trailer: x-old

use conformance::*;

guest! {
    fn proxy_on_response_trailers(_: u32, count: u32) -> u32 {
        say!("{count} trailers");
        for line in show_pairs(&pairs(RESPONSE_TRAILERS).into_bytes()) {
            say!("{line}");
        }
        say!("value {}", header(RESPONSE_TRAILERS, "x-sum"));
        replace_header(RESPONSE_TRAILERS, "x-sum", "2");
        remove_header(RESPONSE_TRAILERS, "x-old");
        for line in take_report().lines() {
            add_header(RESPONSE_TRAILERS, "x-report", line);
        }
        CONTINUE
    }
}
