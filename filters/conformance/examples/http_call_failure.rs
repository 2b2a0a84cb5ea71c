//! A call that fails ends in a callback of zeros, and proxy_get_status says why.
//!
//! covers: proxy_http_call proxy_on_http_call_response proxy_get_status
//!
//! request: GET /
//! send-header: x-upstream: refused
//! status: 200
//! body: 0 headers, 0 bytes, 0 trailers
//! body: :status NotFound, body NotFound or empty true
//! body: code Ok 11, message connect
//!
//! request: GET /
//! send-header: x-upstream: blackhole
//! status: 200
//! body: 0 headers, 0 bytes, 0 trailers
//! body: :status NotFound, body NotFound or empty true
//! body: code Ok 11, message timeout

use conformance::*;
use std::cell::Cell;

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        let headers = [(":method", "GET"), (":path", "/"), (":authority", "call.test")];
        let call = http_call(&header(REQUEST, "x-upstream").into_text(), &headers, "", 200);
        assert!(call.is_ok(), "{call}");
        PAUSE
    }

    fn proxy_on_http_call_response(_: u32, _: u32, headers: u32, body: u32, trailers: u32) {
        say!("{headers} headers, {body} bytes, {trailers} trailers");
        let bytes = buffer(CALL_BODY, 0, u32::MAX);
        let nothing = !bytes.is_ok() || bytes.into_bytes().is_empty();
        say!(":status {}, body NotFound or empty {nothing}", header(CALL_HEADERS, ":status"));
        let (code, message) = call_status();
        say!("code {code}, message {}", message.into_text());
        set_effective_context(STREAM.get());
        reply();
    }
}
