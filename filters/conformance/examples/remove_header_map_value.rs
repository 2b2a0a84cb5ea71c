//! Removing takes all field lines of a name; one that is absent is no error.
//!
//! covers: proxy_remove_header_map_value
//!
//! request: GET /
//! send-header: x-list: one
//! send-header: x-keep: 1
//! send-header: x-list: two
//! status: 200
//! header: x-report: several: Ok
//! header: x-report: absent: Ok
//! header: x-report: map 8: BadArgument
//! no-header: x-origin
//! upstream: GET /c/remove_header_map_value/
//! upstream-no-header: x-list
//! upstream-header: x-keep: 1

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("several: {}", remove_header(REQUEST, "X-List"));
        say!("absent: {}", remove_header(REQUEST, "x-list"));
        say!("map 8: {}", remove_header(8, "x-list"));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        remove_header(RESPONSE, "x-origin");
        CONTINUE
    }
}
