//! A body that a client of HTTP/2 does not announce is seen by the filter, or does not get past it.
//!
//! covers: proxy_on_request_body
//!
//! request: POST / h2
//! send-chunk: one,
//! send-chunk: two
//! embedded/status: 200
//! embedded/upstream-body: (one,two)
//! ats/status: 411
//! ats/upstream: none
//!
//! request: GET / h2
//! send-chunk: one,
//! send-chunk: two
//! embedded/status: 200
//! embedded/upstream-body: (one,two)
//! ats/status: 411
//! ats/upstream: none

use conformance::*;

guest! {
    fn proxy_on_request_body(_: u32, size: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        let body = buffer(REQUEST_BODY, 0, u32::MAX).into_bytes();
        set_buffer(REQUEST_BODY, 0, size, [b"(", &body[..], b")"].concat());
        CONTINUE
    }
}
