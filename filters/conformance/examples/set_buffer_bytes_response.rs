//! A response body is changed; its Content-Length, if it has one, is right.
//!
//! covers: proxy_set_buffer_bytes proxy_on_response_body
//!
//! request: GET /?body=0123456789
//! send-header: x-edit: 0 0 >>
//! status: 200
//! body: >>0123456789
//!
//! request: GET /?body=0123456789
//! send-header: x-edit: 4294967295 0 <<
//! body: 0123456789<<
//!
//! request: GET /?body=0123456789
//! send-header: x-edit: 0 4294967295 all
//! body: all
//!
//! request: GET /?body=0123456789
//! send-header: x-edit: 0 4 abc
//! body: abc456789
//!
//! request: GET /?body=0123456789
//! send-header: x-edit: 3 2 abc
//! body: 012abc56789
//!
//! request: GET /?chunk=01234&chunk=56789
//! send-header: x-edit: 0 4294967295 all
//! body: all
//!
//! request: GET /?body=0123456789 h2
//! send-header: x-edit: 0 4294967295 longer than it was
//! body: longer than it was

use conformance::*;

guest! {
    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        let edit = header(REQUEST, "x-edit").into_text();
        let mut words = edit.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        let (start, size) = (number(), number());
        set_buffer(RESPONSE_BODY, start, size, words.next().unwrap_or(""));
        CONTINUE
    }
}
