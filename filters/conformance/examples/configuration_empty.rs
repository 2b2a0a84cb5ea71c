//! No configuration: length 0, and an empty buffer rather than none.
//!
//! covers: proxy_on_vm_start proxy_on_configure proxy_get_buffer_bytes
//!
//! request: GET /
//! status: 200
//! body: start: 0 bytes, Ok ""
//! body: configure: 0 bytes, Ok ""

use conformance::*;

guest! {
    fn proxy_on_vm_start(_: u32, size: u32) -> u32 {
        say!("start: {size} bytes, {}", buffer(VM_CONFIGURATION, 0, u32::MAX));
        1
    }

    fn proxy_on_configure(_: u32, size: u32) -> u32 {
        say!("configure: {size} bytes, {}", buffer(PLUGIN_CONFIGURATION, 0, u32::MAX));
        1
    }

    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        reply()
    }
}
