//! Before 0.2.0 each direction had a hostcall of its own to go on, and one cleared the route cache.
//!
//! covers: proxy_continue_request proxy_continue_response proxy_clear_route_cache
//!
//! request: GET /
//! status: 200
//! header: x-request: Ok
//! header: x-response: Ok
//! header: x-route-cache: Ok

use conformance::*;
use std::cell::Cell;

thread_local! {
    static WAITING: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

guest! {
    abi proxy_abi_version_0_1_0;

    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        set_tick_period(20);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32) -> u32 {
        say!("{}", clear_route_cache());
        WAITING.set(Some((context, true)));
        PAUSE
    }

    fn proxy_on_response_headers(context: u32, _: u32) -> u32 {
        WAITING.set(Some((context, false)));
        PAUSE
    }

    fn proxy_on_tick(_: u32) {
        let Some((context, request)) = WAITING.take() else { return };
        set_effective_context(context);
        if request {
            say!("{}", continue_request());
        } else {
            let report = take_report();
            let mut lines = report.lines();
            add_header(RESPONSE, "x-route-cache", lines.next().unwrap_or_default());
            add_header(RESPONSE, "x-request", lines.next().unwrap_or_default());
            add_header(RESPONSE, "x-response", continue_response().to_string());
        }
    }
}
