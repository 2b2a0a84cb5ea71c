//! Filters of a route run in order for requests and in reverse for responses. on_log is in order.
//!
//! covers: proxy_on_log proxy_on_request_headers proxy_on_response_headers proxy_on_request_body proxy_on_response_body
//! configuration: a
//! then: the second filter
//! configuration: b
//! then: the third filter
//! configuration: c
//!
//! request: POST /?body=.
//! send-body: .
//! status: 200
//! header: x-order: c
//! header: x-order: cb
//! header: x-order: cba
//! body: .cba
//! upstream-header: x-order: a
//! upstream-header: x-order: ab
//! upstream-header: x-order: abc
//! upstream-body: .abc
//! log: info: chain: log of a
//! log: info: chain: log of b
//! log: info: chain: log of c

use conformance::*;

fn name() -> String {
    buffer(PLUGIN_CONFIGURATION, 0, u32::MAX).into_text()
}

/// Adds a header that names this filter and all before it.
fn sign(map: u32) -> u32 {
    let lines = decode_pairs(&pairs(map).into_bytes());
    let last = lines
        .iter()
        .rfind(|(key, _)| key == b"x-order")
        .map(|(_, value)| value.clone());
    let mut order = last.unwrap_or_default();
    order.extend(name().bytes());
    add_header(map, "x-order", order);
    CONTINUE
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        sign(REQUEST)
    }

    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 1 {
            set_buffer(REQUEST_BODY, u32::MAX, 0, name());
        }
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        sign(RESPONSE)
    }

    fn proxy_on_log(_: u32) {
        note!("chain: log of {}", name());
    }

    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 1 {
            set_buffer(RESPONSE_BODY, u32::MAX, 0, name());
        }
        CONTINUE
    }
}
