//! A result that comes after its stream has gone is dropped; where it is delivered all the same, the stream's context
//! is refused. Neither hurts the VM.
//!
//! covers: proxy_http_call proxy_on_http_call_response proxy_set_effective_context
//!
//! request: GET /
//! status: 200
//! body: gone
//! log: info: http_call_late: waited, stream still there: BadArgument
//!
//! request: GET /
//! send-header: x-second: 1
//! status: 200
//! body: alive

use conformance::*;
use std::cell::Cell;

thread_local! {
    static STREAM: Cell<u32> = const { Cell::new(0) };
    static TICKS: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(50);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        if header(REQUEST, "x-second").is_ok() {
            local_response(200, "", "alive", &[], NO_GRPC_STATUS);
            return PAUSE;
        }
        STREAM.set(context);
        TICKS.set(10);
        let headers =
            [(":method", "GET"), (":path", "/call/http_call_late?delay=100"), (":authority", "call.test")];
        let call = http_call("origin", &headers, "", 5000);
        assert!(call.is_ok(), "{call}");
        local_response(200, "", "gone", &[], NO_GRPC_STATUS);
        PAUSE
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, _: u32) {
        assert!(!set_effective_context(STREAM.get()).is_ok(), "the stream has gone");
    }

    fn proxy_on_tick(_: u32) {
        match TICKS.get() {
            0 => {}
            1 => {
                TICKS.set(0);
                note!("http_call_late: waited, stream still there: {}", set_effective_context(STREAM.get()));
            }
            left => TICKS.set(left - 1),
        }
    }
}
