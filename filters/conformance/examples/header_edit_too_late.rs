//! Request headers can be read in every later callback. A change that can no longer take effect is Ok, with a warning.
//!
//! covers: proxy_get_header_map_value proxy_replace_header_map_value proxy_on_log
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! header: x-read: Ok "7"
//! header: x-write: Ok
//! upstream: GET /c/header_edit_too_late/
//! upstream-no-header: x-late
//! log: warn: sent on already
//! log: info: header_edit_too_late in on_log: Ok "7", Ok "200"

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let read = header(REQUEST, "x-token");
        let write = replace_header(REQUEST, "x-late", "1");
        add_header(RESPONSE, "x-read", read.to_string());
        add_header(RESPONSE, "x-write", write.to_string());
        CONTINUE
    }

    fn proxy_on_log(_: u32) {
        note!("header_edit_too_late in on_log: {}, {}", header(REQUEST, "x-token"), header(RESPONSE, ":status"));
    }
}
