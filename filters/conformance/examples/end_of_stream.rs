//! A message without a body says so in its headers callback and gets no body callback. One with a body ends in a body
//! callback, or with its trailers.
//!
//! covers: proxy_on_request_headers proxy_on_response_headers proxy_on_request_body proxy_on_request_trailers
//!
//! request: GET /?status=204
//! status: 204
//! header: x-report: request headers, end 1
//! header: x-report: response headers, end 1
//!
//! request: POST /?status=204
//! send-body: hello
//! status: 204
//! header: x-report: request headers, end 0
//! header: x-report: request body, end 1
//! header: x-report: response headers, end 1
//!
//! request: POST /?status=204
//! ats/skips: trailers
//! send-chunk: hello
//! send-trailer: x-sum: 1
//! status: 204
//! header: x-report: request headers, end 0
//! header: x-report: request body, end 0
//! header: x-report: request trailers
//! header: x-report: response headers, end 1
//!
//! request: GET /?status=204 h2
//! status: 204
//! header: x-report: request headers, end 1
//! header: x-report: response headers, end 1
//!
//! request: POST /?status=204 h2
//! ats/skips: trailers
//! send-chunk: hello
//! send-trailer: x-sum: 1
//! status: 204
//! header: x-report: request headers, end 0
//! header: x-report: request body, end 0
//! header: x-report: request trailers
//! header: x-report: response headers, end 1
//!
//! request: GET /?body=hello
//! status: 200
//! header: x-report: request headers, end 1
//! header: x-report: response headers, end 0

use conformance::*;

/// Chunks of one body may come in any number of calls; the report has each kind of call once.
fn say_once(line: &str) {
    let mut report = take_report();
    if !report.lines().any(|known| known == line) {
        report.push_str(line);
        report.push('\n');
    }
    for line in report.lines() {
        say_line(line);
    }
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, end: u32) -> u32 {
        take_report();
        say!("request headers, end {end}");
        CONTINUE
    }

    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        say_once(&format!("request body, end {end}"));
        CONTINUE
    }

    fn proxy_on_request_trailers(_: u32, _: u32) -> u32 {
        say!("request trailers");
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, end: u32) -> u32 {
        say!("response headers, end {end}");
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        CONTINUE
    }
}
