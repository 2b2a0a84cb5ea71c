//! Buffers that a guest may only read, that the phase does not have, or that do not exist.
//!
//! covers: proxy_set_buffer_bytes
//! configuration: abcde
//!
//! request: GET /
//! status: 200
//! body: plugin configuration: BadArgument
//! body: VM configuration: BadArgument
//! body: configuration is still Ok "abcde"
//! body: buffer 9: BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("plugin configuration: {}", set_buffer(PLUGIN_CONFIGURATION, 0, u32::MAX, "x"));
        say!("VM configuration: {}", set_buffer(VM_CONFIGURATION, 0, u32::MAX, "x"));
        say!("configuration is still {}", buffer(PLUGIN_CONFIGURATION, 0, u32::MAX));
        say!("buffer 9: {}", set_buffer(9, 0, 0, "x"));
        reply()
    }
}
