//! What the body callbacks may return besides 0 and 1. 2 waits and keeps what came. 3 waits and keeps nothing: the bytes
//! are the filter's, which gives them back when it goes on.
//!
//! covers: proxy_on_request_body proxy_continue_stream proxy_set_buffer_bytes
//!
//! request: POST /
//! send-header: x-action: 2
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: one,two
//!
//! request: POST / h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-header: x-action: 2
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: one,two
//!
//! request: POST /
//! send-header: x-action: 3
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: (one,two)
//!
//! request: POST / h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-header: x-action: 3
//! send-chunk: one,
//! send-chunk: two
//! status: 200
//! upstream-body: (one,two)

use conformance::*;
use std::cell::{Cell, RefCell};

thread_local! {
    static WAITING: Cell<Option<u32>> = const { Cell::new(None) };
    static TAKEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the bytes of the call, and gives all of them back at the end.
fn take(end: bool) -> u32 {
    TAKEN.with_borrow_mut(|taken| taken.extend(buffer(REQUEST_BODY, 0, u32::MAX).into_bytes()));
    if !end {
        return 3;
    }
    let all = [b"(", TAKEN.take().as_slice(), b")"].concat();
    set_buffer(REQUEST_BODY, 0, u32::MAX, all);
    CONTINUE
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_body(context: u32, _: u32, end: u32) -> u32 {
        if header(REQUEST, "x-action").into_text() == "3" {
            return take(end == 1);
        }
        WAITING.set(Some(context));
        2
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
