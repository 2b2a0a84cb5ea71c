//! With `http_call_failure: synthesize` a call that fails looks as in Envoy: a response of its own making.
//!
//! covers: proxy_on_http_call_response
//! filter: http_call_failure = "synthesize"
//!
//! request: GET /
//! send-header: x-upstream: refused
//! status: 200
//! body: headers true, :status Ok "503"
//!
//! request: GET /
//! send-header: x-upstream: blackhole
//! status: 200
//! body: headers true, :status Ok "504"

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

    fn proxy_on_http_call_response(_: u32, _: u32, headers: u32, _: u32, _: u32) {
        say!("headers {}, :status {}", headers > 0, header(CALL_HEADERS, ":status"));
        set_effective_context(STREAM.get());
        reply();
    }
}
