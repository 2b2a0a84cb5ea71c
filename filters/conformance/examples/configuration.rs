//! The configuration of VM and plugin, as buffers of that length.
//!
//! covers: proxy_on_vm_start proxy_on_configure proxy_get_buffer_bytes
//! vm-configuration: of the VM
//! configuration: of the plugin
//!
//! request: GET /
//! status: 200
//! body: start: 9 bytes, Ok "of the VM"
//! body: configure: 13 bytes, Ok "of the plugin"
//! body: later: Ok "of the plugin"

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
        say!("later: {}", buffer(PLUGIN_CONFIGURATION, 0, u32::MAX));
        reply()
    }
}
