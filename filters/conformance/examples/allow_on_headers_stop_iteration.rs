//! With the switch, 1 from the headers callback stops the headers only: the body is seen while they wait, so that
//! they can depend on it.
//!
//! covers: proxy_on_request_headers proxy_on_request_body proxy_on_response_headers proxy_on_response_body
//! filter: allow_on_headers_stop_iteration = true
//!
//! request: POST /?body=answer
//! send-chunk: ques
//! send-chunk: tion
//! status: 200
//! header: x-body: answer
//! body: answer
//! upstream-header: x-body: question
//! upstream-body: question
//!
//! request: POST /?body=answer h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-chunk: ques
//! send-chunk: tion
//! status: 200
//! header: x-body: answer
//! body: answer
//! upstream-header: x-body: question
//! upstream-body: question

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        1
    }

    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        add_header(REQUEST, "x-body", buffer(REQUEST_BODY, 0, u32::MAX).into_bytes());
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        1
    }

    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        add_header(RESPONSE, "x-body", buffer(RESPONSE_BODY, 0, u32::MAX).into_bytes());
        CONTINUE
    }
}
