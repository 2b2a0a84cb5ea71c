//! Pause from the request headers stops the body too: it is seen only when the filter goes on. The same holds for
//! responses.
//!
//! covers: proxy_on_request_headers proxy_on_response_headers proxy_continue_stream proxy_on_tick
//!
//! request: POST /?chunk=four,&chunk=five
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! header: x-late: 1
//! body: four,five
//! upstream-header: x-late: 1
//! upstream-body: one,two,three
//! log: info: headers_paused: body before continue: false
//! log: info: headers_paused: body before continue: false
//!
//! request: POST /?chunk=four,&chunk=five h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! header: x-late: 1
//! body: four,five
//! upstream-header: x-late: 1
//! upstream-body: one,two,three

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<(u32, u32, u32, u32)>> = const { Cell::new(None) };
    static BODY_TOO_EARLY: Cell<bool> = const { Cell::new(false) };
}

fn pause(context: u32, map: u32, stream: u32) -> u32 {
    // Several ticks, so that a body would have the time to come too early.
    WAITING.set(Some((context, map, stream, 3)));
    PAUSE
}

fn body() -> u32 {
    BODY_TOO_EARLY.set(BODY_TOO_EARLY.get() || WAITING.get().is_some());
    CONTINUE
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        pause(context, REQUEST, REQUEST_STREAM)
    }

    fn proxy_on_request_body(_: u32, _: u32, _: u32) -> u32 {
        body()
    }

    fn proxy_on_response_headers(context: u32, _: u32, _: u32) -> u32 {
        pause(context, RESPONSE, RESPONSE_STREAM)
    }

    fn proxy_on_response_body(_: u32, _: u32, _: u32) -> u32 {
        body()
    }

    fn proxy_on_tick(_: u32) {
        let Some((context, map, stream, ticks)) = WAITING.get() else { return };
        if ticks > 0 {
            WAITING.set(Some((context, map, stream, ticks - 1)));
            return;
        }
        WAITING.set(None);
        set_effective_context(context);
        add_header(map, "x-late", "1");
        note!("headers_paused: body before continue: {}", BODY_TOO_EARLY.take());
        continue_stream(stream);
    }
}
