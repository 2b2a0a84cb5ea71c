//! Trailers go both ways in calls.
//!
//! covers: proxy_http_call proxy_on_http_call_response
//!
//! request: GET /
//! status: 200
//! body: 1 trailers
//! body: x-sum Ok "1"
//! body: pairs x-sum: 1
//! body: missing NotFound
//! upstream: POST /call/http_call_trailers?chunk=answer&trailer=x-sum:1
//! upstream-body: question
//! upstream-trailer: x-asked: 1

use conformance::*;
use std::cell::Cell;

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        let headers = encode_pairs(&[
            (":method", "POST"),
            (":path", "/call/http_call_trailers?chunk=answer&trailer=x-sum:1"),
            (":authority", "call.test"),
            ("te", "trailers"),
        ]);
        let trailers = encode_pairs(&[("x-asked", "1")]);
        let call = http_call_raw("origin", &headers, "question", &trailers, 5000);
        assert!(call.is_ok(), "{call}");
        PAUSE
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, trailers: u32) {
        say!("{trailers} trailers");
        say!("x-sum {}", header(CALL_TRAILERS, "x-sum"));
        say!("pairs {}", show_pairs(&pairs(CALL_TRAILERS).into_bytes()).join(", "));
        say!("missing {}", header(CALL_TRAILERS, "x-gone"));
        set_effective_context(STREAM.get());
        reply();
    }
}
