//! Directions that are paused go on; those that are not, or do not exist, are no error; a number beyond is.
//!
//! covers: proxy_continue_stream
//!
//! request: GET /
//! status: 200
//! body: request: Ok
//! body: response: Ok
//! body: stream 4: BadArgument
//!
//! request: GET /
//! send-header: x-pause: 1
//! status: 200
//! header: x-from: tick

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        if header(REQUEST, "x-pause").is_ok() {
            WAITING.set(Some((context, REQUEST_STREAM)));
            return PAUSE;
        }
        say!("request: {}", continue_stream(REQUEST_STREAM));
        say!("response: {}", continue_stream(RESPONSE_STREAM));
        say!("stream 4: {}", continue_stream(4));
        reply()
    }

    fn proxy_on_response_headers(context: u32, _: u32, _: u32) -> u32 {
        if header(REQUEST, "x-pause").is_ok() {
            WAITING.set(Some((context, RESPONSE_STREAM)));
            return PAUSE;
        }
        CONTINUE
    }

    fn proxy_on_tick(_: u32) {
        let Some((context, stream)) = WAITING.take() else { return };
        set_effective_context(context);
        if stream == RESPONSE_STREAM {
            add_header(RESPONSE, "x-from", "tick");
        }
        continue_stream(stream);
    }
}
