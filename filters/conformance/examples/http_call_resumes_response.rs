//! A response waits for a call.
//!
//! covers: proxy_http_call proxy_continue_stream proxy_on_response_headers
//!
//! request: GET /?body=hello
//! status: 200
//! header: x-called: 203
//! body: hello
//!
//! request: GET /?body=hello h2
//! status: 200
//! header: x-called: 203
//! body: hello

use conformance::*;
use std::cell::Cell;

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_response_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        let headers = [(":method", "GET"), (":path", "/call/resumes?status=203"), (":authority", "call.test")];
        let call = http_call("origin", &headers, "", 5000);
        assert!(call.is_ok(), "{call}");
        PAUSE
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, _: u32) {
        let status = header(CALL_HEADERS, ":status").into_bytes();
        set_effective_context(STREAM.get());
        add_header(RESPONSE, "x-called", status);
        continue_stream(RESPONSE_STREAM);
    }
}
