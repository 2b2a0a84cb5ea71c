//! While the body callback returns Pause the body accumulates; each call sees all of it, and its length as argument.
//!
//! covers: proxy_on_request_body proxy_get_buffer_bytes
//!
//! request: POST /
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! body: argument is the length: true
//! body: grows: true
//! body: end seen: Ok "one,two,three"
//!
//! request: POST / h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! body: argument is the length: true
//! body: grows: true
//! body: end seen: Ok "one,two,three"
//!
//! request: POST / h2
//! send-body: one,two,three
//! status: 200
//! body: argument is the length: true
//! body: grows: true
//! body: end seen: Ok "one,two,three"

use conformance::*;
use std::cell::Cell;

thread_local! {
    static LAST: Cell<u64> = const { Cell::new(0) };
    static TRUE_LENGTHS: Cell<bool> = const { Cell::new(true) };
    static GROWS: Cell<bool> = const { Cell::new(true) };
}

guest! {
    fn proxy_on_request_body(_: u32, size: u32, end: u32) -> u32 {
        let length = u64::from(buffer_status(REQUEST_BODY).into_number() as u32);
        TRUE_LENGTHS.set(TRUE_LENGTHS.get() && length == u64::from(size));
        GROWS.set(GROWS.get() && length >= LAST.replace(length));
        if end == 0 {
            return PAUSE;
        }
        say!("argument is the length: {}", TRUE_LENGTHS.replace(true));
        say!("grows: {}", GROWS.replace(true));
        say!("end seen: {}", buffer(REQUEST_BODY, 0, u32::MAX));
        LAST.set(0);
        reply()
    }
}
