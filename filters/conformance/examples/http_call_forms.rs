//! Calls in the forms in which filters of the field make them: a whole URL or no slash in `:path`, `host` for `:authority`, a
//! pseudo-header that nobody knows.
//!
//! covers: proxy_http_call proxy_on_http_call_response
//!
//! request: GET /
//! status: 200
//! body: 201 202 203

use conformance::*;
use std::cell::{Cell, RefCell};

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
    static STATUSES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

guest! {
    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        for headers in [
            [(":method", "GET"), (":path", "https://call.test/call/forms?status=201"), (":authority", "call.test")],
            [(":method", "GET"), (":path", "call/forms?status=202"), ("host", "call.test")],
            [(":method", "GET"), (":path", "/call/forms?status=203"), (":authority", "call.test")],
        ] {
            let all = [headers.as_slice(), &[(":version", "1")]].concat();
            let call = http_call("origin", &all, "", 5000);
            assert!(call.is_ok(), "{call}");
        }
        PAUSE
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, _: u32) {
        let status = header(CALL_HEADERS, ":status").into_text();
        let mut statuses = STATUSES.take();
        statuses.push(status);
        statuses.sort();
        if statuses.len() == 3 {
            set_effective_context(STREAM.get());
            local_response(200, "", statuses.join(" ").as_str(), &[], NO_GRPC_STATUS);
        } else {
            STATUSES.set(statuses);
        }
    }
}
