//! Takes 300 ms to be configured, as a rule engine does, and dies of a request with the header `x-die`. Marks the requests that it
//! has seen.

use bench_guests::{CONTINUE, REQUEST, RESPONSE, add_header, has_header, keep_thread};

/// Time to be configured, in milliseconds.
const START: u64 = 300;

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, _: u32) -> u32 {
    keep_thread(START);
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    assert!(!has_header(REQUEST, "x-die"), "as the request wants it");
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    add_header(RESPONSE, "x-seen", "1");
    CONTINUE
}
