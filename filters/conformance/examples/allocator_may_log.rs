//! While the host has it allocate, a guest may log, read the clock and write to standard output.
//!
//! covers: proxy_on_memory_allocate proxy_log
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! body: Ok "7"
//! log: info: allocator_may_log: proxy_log
//! log: info: allocator_may_log: standard output at a time that is set: true

use conformance::*;
use std::time::SystemTime;

fn hook(_: u32) -> Option<u32> {
    log(INFO, "allocator_may_log: proxy_log");
    let set = SystemTime::now() > SystemTime::UNIX_EPOCH;
    println!("allocator_may_log: standard output at a time that is set: {set}");
    None
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        on_allocate(Some(hook));
        let token = header(REQUEST, "x-token");
        on_allocate(None);
        say!("{token}");
        reply()
    }
}
