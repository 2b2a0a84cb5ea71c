//! A callback may act for another context of its VM, until it returns. A context that does not exist is refused.
//!
//! covers: proxy_set_effective_context
//!
//! request: GET /
//! status: 200
//! header: x-report: plugin: Ok
//! header: x-report: no headers there: NotFound
//! header: x-report: stream: Ok
//! header: x-report: headers there: Ok "GET"
//! header: x-report: unknown: BadArgument
//! header: x-report: still the stream: Ok "GET"
//! header: x-report: zero: BadArgument
//! header: x-report: next callback: Ok "GET"

use conformance::*;
use std::cell::Cell;

thread_local! {
    static PLUGIN: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_context_create(context: u32, parent: u32) {
        if parent == 0 {
            PLUGIN.set(context);
        }
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        say!("plugin: {}", set_effective_context(PLUGIN.get()));
        say!("no headers there: {}", header(REQUEST, ":method"));
        say!("stream: {}", set_effective_context(context));
        say!("headers there: {}", header(REQUEST, ":method"));
        say!("unknown: {}", set_effective_context(u32::MAX));
        say!("still the stream: {}", header(REQUEST, ":method"));
        say!("zero: {}", set_effective_context(0));
        set_effective_context(PLUGIN.get());
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("next callback: {}", header(REQUEST, ":method"));
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        CONTINUE
    }
}
