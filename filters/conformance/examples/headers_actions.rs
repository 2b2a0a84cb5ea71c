//! What the request headers callback may return besides 0 and 1: 3 and 4 stop everything, as does anything beyond; 2
//! ends the request with its headers.
//!
//! covers: proxy_on_request_headers
//!
//! request: POST /
//! send-header: x-action: 3
//! send-body: question
//! status: 200
//! upstream-header: x-ticked: 1
//! upstream-body: question
//!
//! request: POST /
//! send-header: x-action: 4
//! send-body: question
//! status: 200
//! upstream-header: x-ticked: 1
//! upstream-body: question
//!
//! request: POST /
//! send-header: x-action: 99
//! send-body: question
//! status: 200
//! upstream-header: x-ticked: 1
//! upstream-body: question
//!
//! request: GET /
//! send-header: x-action: 2
//! status: 200
//! upstream-no-header: x-ticked

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

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        let action = header(REQUEST, "x-action").into_text().parse().expect("a number");
        if action != 2 {
            WAITING.set(Some(context));
        }
        action
    }

    fn proxy_on_request_body(_: u32, _: u32, _: u32) -> u32 {
        assert!(WAITING.get().is_none(), "no body before continue");
        CONTINUE
    }

    fn proxy_on_tick(_: u32) {
        if let Some(context) = WAITING.take() {
            set_effective_context(context);
            add_header(REQUEST, "x-ticked", "1");
            continue_stream(REQUEST_STREAM);
        }
    }
}
