//! An allocator that gives an address outside of memory: the VM is of no use any more, and the request gets the fail
//! policy.
//!
//! covers: proxy_on_memory_allocate
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 503
//! no-log: allocator_fails: Ok

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        on_allocate(Some(|_| Some(WILD)));
        let answer = header(REQUEST, "x-token");
        on_allocate(None);
        note!("allocator_fails: {}", status_name(answer.status));
        CONTINUE
    }
}
