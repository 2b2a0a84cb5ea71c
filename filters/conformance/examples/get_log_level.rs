//! The level that the host's log keeps: lines below it are dropped. Traffic Server runs with its debug output here.
//!
//! covers: proxy_get_log_level
//!
//! request: GET /
//! status: 200
//! embedded/body: Ok 2
//! ats/body: Ok 0

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("{}", log_level());
        reply()
    }
}
