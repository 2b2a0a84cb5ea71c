//! Before 0.2.0 one hostcall gave the configuration of the VM or of the plugin, by the callback it was called from.
//!
//! covers: proxy_get_configuration
//! vm-configuration: of the VM
//! configuration: of the plugin
//!
//! request: GET /
//! status: 200
//! body: start: 9 bytes, Ok "of the VM"
//! body: configure: 13 bytes, Ok "of the plugin"

use conformance::*;

guest! {
    abi proxy_abi_version_0_1_0;

    fn proxy_on_vm_start(_: u32, size: u32) -> u32 {
        say!("start: {size} bytes, {}", configuration());
        1
    }

    fn proxy_on_configure(_: u32, size: u32) -> u32 {
        say!("configure: {size} bytes, {}", configuration());
        1
    }

    fn proxy_on_request_headers(_: u32, _: u32) -> u32 {
        reply()
    }
}
