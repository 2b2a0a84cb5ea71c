//! A filter keeps a body for itself, and gives it back in another form when the answer to a call has come.
//!
//! covers: proxy_set_buffer_bytes proxy_continue_stream proxy_on_response_body
//!
//! request: GET /?body=hello
//! status: 200
//! body: given back: hello
//!
//! request: GET /?body=hello h2
//! status: 200
//! body: given back: hello

use conformance::*;
use std::cell::{Cell, RefCell};

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
    static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The filter waits, and the host keeps nothing.
const STOP_NO_BUFFER: u32 = 3;

guest! {
    fn proxy_on_response_body(context: u32, _: u32, end: u32) -> u32 {
        STREAM.set(context);
        let piece = buffer(RESPONSE_BODY, 0, u32::MAX);
        if piece.is_ok() {
            KEPT.with_borrow_mut(|kept| kept.extend(piece.into_bytes()));
        }
        if end != 0 {
            let headers = [(":method", "GET"), (":path", "/call/body_given_back"), (":authority", "call.test")];
            let call = http_call("origin", &headers, "", 5000);
            assert!(call.is_ok(), "{call}");
        }
        STOP_NO_BUFFER
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, _: u32) {
        set_effective_context(STREAM.get());
        let kept = KEPT.take();
        let given = [b"given back: ".as_slice(), &kept].concat();
        let set = set_buffer(RESPONSE_BODY, 0, u32::MAX, given);
        assert!(set.is_ok(), "{set}");
        continue_stream(RESPONSE_STREAM);
    }
}
