//! Calls from configure and from ticks work without any stream.
//!
//! covers: proxy_http_call proxy_on_http_call_response proxy_on_configure proxy_on_tick
//!
//! request: GET /
//! status: 200
//! log: info: http_call_outside_of_streams: configure Ok "from configure"
//! log: info: http_call_outside_of_streams: tick Ok "from tick"

use conformance::*;
use std::cell::Cell;

thread_local! {
    static CONFIGURE: Cell<u64> = const { Cell::new(0) };
}

fn call(body: &str) -> u64 {
    let path = format!("/call/outside?body={body}");
    let headers = [
        (":method", "GET"),
        (":path", path.as_str()),
        (":authority", "call.test"),
    ];
    let call = http_call("origin", &headers, "", 5000);
    assert!(call.is_ok(), "{call}");
    call.into_number()
}

guest! {
    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        CONFIGURE.set(call("from%20configure"));
        1
    }

    fn proxy_on_tick(_: u32) {
        set_tick_period(0);
        call("from%20tick");
    }

    fn proxy_on_http_call_response(_: u32, token: u32, _: u32, _: u32, _: u32) {
        if u64::from(token) == CONFIGURE.get() {
            note!("http_call_outside_of_streams: configure {}", buffer(CALL_BODY, 0, u32::MAX));
            set_tick_period(20);
        } else {
            note!("http_call_outside_of_streams: tick {}", buffer(CALL_BODY, 0, u32::MAX));
        }
    }
}
