//! Trailers wait for the filter, and with them the end of the message.
//!
//! covers: proxy_on_request_trailers proxy_on_response_trailers proxy_continue_stream
//! ats/lacks: trailers
//!
//! request: POST /?chunk=hello&trailer=x-sum:1
//! send-header: te: trailers
//! send-chunk: question
//! send-trailer: x-sum: 1
//! status: 200
//! body: hello
//! trailer: x-sum: 2
//! upstream: POST /c/trailers_paused/?chunk=hello&trailer=x-sum:1
//! upstream-body: question
//! upstream-trailer: x-sum: 2

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<(u32, u32, u32)>> = const { Cell::new(None) };
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_trailers(context: u32, _: u32) -> u32 {
        WAITING.set(Some((context, REQUEST_TRAILERS, REQUEST_STREAM)));
        PAUSE
    }

    fn proxy_on_response_trailers(context: u32, _: u32) -> u32 {
        WAITING.set(Some((context, RESPONSE_TRAILERS, RESPONSE_STREAM)));
        PAUSE
    }

    fn proxy_on_tick(_: u32) {
        if let Some((context, map, stream)) = WAITING.take() {
            set_effective_context(context);
            replace_header(map, "x-sum", "2");
            continue_stream(stream);
        }
    }
}
