//! A stream whose on_done returns false lives on until proxy_done; then it is logged and deleted.
//!
//! covers: proxy_done proxy_on_done
//!
//! request: GET /
//! status: 200
//! log: info: done: not yet
//! log: info: done: now Ok, :method Ok "GET"
//! log: info: done: log, :method Ok "GET"
//! log: info: done: delete

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<u32>> = const { Cell::new(None) };
    static STREAM: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        CONTINUE
    }

    fn proxy_on_done(context: u32) -> u32 {
        if context != STREAM.get() {
            return 1;
        }
        note!("done: not yet");
        WAITING.set(Some(context));
        0
    }

    fn proxy_on_tick(_: u32) {
        if let Some(context) = WAITING.take() {
            set_effective_context(context);
            let method = header(REQUEST, ":method");
            note!("done: now {}, :method {method}", done());
        }
    }

    fn proxy_on_log(context: u32) {
        if context == STREAM.get() {
            note!("done: log, :method {}", header(REQUEST, ":method"));
        }
    }

    fn proxy_on_delete(context: u32) {
        if context == STREAM.get() {
            note!("done: delete");
        }
    }
}
