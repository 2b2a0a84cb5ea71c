//! A panic of the guest ends the VM; its message and the names on its stack are in the log.
//!
//! covers: proxy_on_request_headers
//! needs: backtrace
//!
//! request: GET /
//! status: 503
//! log: error: the guest panics on purpose
//! log: error: deep_inside_the_guest

use conformance::*;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn deep_inside_the_guest(context: u32) -> u32 {
    panic!("the guest panics on purpose in context {context}");
}

guest! {
    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        deep_inside_the_guest(context)
    }
}
