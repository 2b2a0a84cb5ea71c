//! Memory may grow, and move, under any hostcall that allocates in the guest.
//!
//! covers: proxy_on_memory_allocate proxy_get_header_map_pairs
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! body: x-token Ok "7"
//! body: pairs hold it: true
//! body: pages grown: 3

use conformance::*;
use std::cell::Cell;

thread_local! {
    static GROWN: Cell<u32> = const { Cell::new(0) };
}

fn grow(_: u32) -> Option<u32> {
    GROWN.set(GROWN.get() + 1);
    assert_ne!(core::arch::wasm32::memory_grow(0, 1), usize::MAX);
    None
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        on_allocate(Some(grow));
        let token = header(REQUEST, "x-token");
        let all = show_pairs(&pairs(REQUEST).into_bytes());
        let again = header(REQUEST, "x-token");
        on_allocate(None);
        assert_eq!(token, again);
        say!("x-token {token}");
        say!("pairs hold it: {}", all.iter().any(|line| line == "x-token: 7"));
        say!("pages grown: {}", GROWN.get());
        reply()
    }
}
