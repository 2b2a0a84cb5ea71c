//! Without a call there is a status to read all the same.
//!
//! covers: proxy_get_status
//!
//! request: GET /
//! status: 200
//! body: Ok

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let (code, _) = call_status();
        say!("{}", status_name(code.status));
        reply()
    }
}
