//! While the host has it allocate, a guest may do nothing else: its VM ends, and the request gets the fail policy.
//!
//! covers: proxy_on_memory_allocate
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 503

use conformance::*;

fn hook(_: u32) -> Option<u32> {
    add_header(REQUEST, "x-never", "1");
    None
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        on_allocate(Some(hook));
        header(REQUEST, "x-token");
        CONTINUE
    }
}
