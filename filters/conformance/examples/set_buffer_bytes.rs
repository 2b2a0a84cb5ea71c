//! A request body is changed, in each way there is. What arrives upstream is framed right every time.
//!
//! covers: proxy_set_buffer_bytes proxy_on_request_body
//!
//! request: POST /
//! send-header: x-edit: 0 0 >>
//! send-body: 0123456789
//! status: 200
//! header: x-edit: Ok
//! upstream-body: >>0123456789
//!
//! request: POST /
//! send-header: x-edit: 10 0 <<
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: 0123456789<<
//!
//! request: POST /
//! send-header: x-edit: 4294967295 0 <<
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: 0123456789<<
//!
//! request: POST /
//! send-header: x-edit: 0 10 all
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: all
//!
//! request: POST /
//! send-header: x-edit: 0 4294967295 all
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: all
//!
//! request: POST /
//! send-header: x-edit: 0 4 abc
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: abc456789
//!
//! request: POST /
//! send-header: x-edit: 3 2 abc
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: 012abc56789
//!
//! request: POST /
//! send-header: x-edit: 8 100 abc
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: 01234567abc
//!
//! request: POST /
//! send-header: x-edit: 0 4294967295
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body:
//!
//! request: POST /
//! send-header: x-edit: 0 4294967295 chunked
//! send-chunk: 01234
//! send-chunk: 56789
//! header: x-edit: Ok
//! upstream-body: chunked
//!
//! request: POST / h2
//! send-header: x-edit: 3 2 abc
//! send-body: 0123456789
//! header: x-edit: Ok
//! upstream-body: 012abc56789

use conformance::*;

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        let edit = header(REQUEST, "x-edit").into_text();
        let mut words = edit.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        let (start, size) = (number(), number());
        let data = words.next().unwrap_or("");
        say!("{}", set_buffer(REQUEST_BODY, start, size, data));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-edit", take_report().trim());
        CONTINUE
    }
}
