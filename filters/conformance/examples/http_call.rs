//! A request waits for a call to another upstream: headers, body and trailers of the answer are readable in the callback
//! and only there.
//!
//! covers: proxy_http_call proxy_on_http_call_response proxy_get_status
//!
//! request: GET /
//! status: 200
//! body: call -> Ok, token not 0: true
//! body: callback: the plugin's context true, the token true, headers counted true, 6 bytes, 0 trailers
//! body: :status Ok "203"
//! body: x-call Ok "yes"
//! body: missing NotFound
//! body: body Ok "answer"
//! body: stream: Ok, :method Ok "GET"
//! body: body from the stream Ok "answer"
//! body: later: body NotFound, :status NotFound
//! upstream: POST /call/http_call?status=203&header=x-call:yes&body=answer
//! upstream-header: host: call.test
//! upstream-header: x-list: 1
//! upstream-header: x-list: 2
//! upstream-body: question

use conformance::*;
use std::cell::Cell;

thread_local! {
    static PLUGIN: Cell<u32> = const { Cell::new(0) };
    static STREAM: Cell<u32> = const { Cell::new(0) };
    static TOKEN: Cell<u64> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_context_create(context: u32, parent: u32) {
        if parent == 0 {
            PLUGIN.set(context);
        }
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        let headers = [
            (":method", "POST"),
            (":path", "/call/http_call?status=203&header=x-call:yes&body=answer"),
            (":authority", "call.test"),
            ("x-list", "1"),
            ("x-list", "2"),
        ];
        let call = http_call("origin", &headers, "question", 5000);
        say!("call -> {}, token not 0: {}", status_name(call.status), call.clone().into_number() != 0);
        TOKEN.set(call.into_number());
        PAUSE
    }

    fn proxy_on_http_call_response(context: u32, token: u32, headers: u32, body: u32, trailers: u32) {
        let counted = decode_pairs(&pairs(CALL_HEADERS).into_bytes()).len() == headers as usize;
        say!(
            "callback: the plugin's context {}, the token {}, headers counted {counted}, {body} bytes, {trailers} trailers",
            context == PLUGIN.get(),
            u64::from(token) == TOKEN.get(),
        );
        say!(":status {}", header(CALL_HEADERS, ":status"));
        say!("x-call {}", header(CALL_HEADERS, "X-Call"));
        say!("missing {}", header(CALL_HEADERS, "x-gone"));
        say!("body {}", buffer(CALL_BODY, 0, u32::MAX));
        say!("stream: {}, :method {}", set_effective_context(STREAM.get()), header(REQUEST, ":method"));
        say!("body from the stream {}", buffer(CALL_BODY, 0, u32::MAX));
        continue_stream(REQUEST_STREAM);
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        // The reply given below comes here too.
        if header(RESPONSE, "x-origin").is_ok() {
            say!("later: body {}, :status {}", buffer(CALL_BODY, 0, u32::MAX), header(CALL_HEADERS, ":status"));
            return reply();
        }
        CONTINUE
    }
}
