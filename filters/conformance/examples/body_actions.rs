//! What the body callbacks may return besides 0 and 1: 2 waits and keeps what came, 3 waits without adding to a buffer.
//! Nothing is lost in either.
//!
//! covers: proxy_on_request_body proxy_continue_stream
//!
//! request: POST /
//! send-header: x-action: 2
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: one,two
//!
//! request: POST / h2
//! send-header: x-action: 2
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: one,two

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<u32>> = const { Cell::new(None) };
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_body(context: u32, _: u32, _: u32) -> u32 {
        WAITING.set(Some(context));
        header(REQUEST, "x-action").into_text().parse().expect("a number")
    }

    fn proxy_on_tick(_: u32) {
        if let Some(context) = WAITING.take() {
            // The stream may be over: the last callback may have come after an earlier tick let it go on.
            if set_effective_context(context).is_ok() {
                continue_stream(REQUEST_STREAM);
            }
        }
    }
}
