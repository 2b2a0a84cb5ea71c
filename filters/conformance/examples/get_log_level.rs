//! The level that the host's log keeps: lines below it are dropped.
//!
//! covers: proxy_get_log_level
//!
//! request: GET /
//! status: 200
//! body: Ok 2

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("{}", log_level());
        reply()
    }
}
