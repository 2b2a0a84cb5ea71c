//! What C and C++ toolchains import besides the ABI.
//!
//! covers: emscripten_notify_memory_growth pthread_equal
//!
//! request: GET /
//! status: 200
//! body: pthread_equal: 1, 0
//! body: still here

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("pthread_equal: {}, {}", raw::pthread_equal(7, 7), raw::pthread_equal(7, 8));
        raw::emscripten_notify_memory_growth(0);
        say!("still here");
        reply()
    }
}
