//! Adds one header to the request and one to the response.

use bench_guests::{CONTINUE, REQUEST, RESPONSE, add_header};

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    add_header(REQUEST, "x-bench-request", "1");
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    add_header(RESPONSE, "x-bench-response", "1");
    CONTINUE
}
