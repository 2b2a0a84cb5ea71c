//! proxy_done where nothing is deferred does no harm: any other status than Ok would end a Rust guest.
//!
//! covers: proxy_done
//!
//! request: GET /
//! status: 200
//! body: Ok

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("{}", done());
        reply()
    }
}
