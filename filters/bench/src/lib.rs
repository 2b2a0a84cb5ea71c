//! What the measured guests share: the marker of the ABI and the allocator that a host insists on, and one hostcall.
//!
//! Without an SDK, so that what is measured is the host.

/// The map of the request's headers.
pub const REQUEST: u32 = 0;
/// The map of the response's headers.
pub const RESPONSE: u32 = 2;
/// The message goes on.
pub const CONTINUE: u32 = 0;

mod raw {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) safe fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_len: usize,
            value: *const u8,
            value_len: usize,
        ) -> u32;
    }
}

/// Adds a header line; the host checks what the pointers mean.
pub fn add_header(map: u32, name: &str, value: &str) {
    let status = raw::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len());
    assert_eq!(status, 0, "the host refused a header");
}

/// The version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Nothing that these guests call gives bytes back.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(_: u32) -> u32 {
    0
}
