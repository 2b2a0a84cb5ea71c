//! What the measured guests share: the marker of the ABI and the allocator that a host insists on, and one hostcall.
//!
//! Without an SDK, so that what is measured is the host.

use std::sync::atomic::AtomicU8;

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

        pub(super) safe fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_len: usize,
            value: *mut u32,
            value_len: *mut usize,
        ) -> u32;

        pub(super) safe fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;

        pub(super) safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    }
}

/// Whether a message has a header.
pub fn has_header(map: u32, name: &str) -> bool {
    let (mut value, mut len) = (0, 0);
    raw::proxy_get_header_map_value(map, name.as_ptr(), name.len(), &raw mut value, &raw mut len) == 0
}

/// Has the guest ticked every millisecond.
pub fn tick_each_millisecond() {
    assert_eq!(
        raw::proxy_set_tick_period_milliseconds(1),
        0,
        "the host refused ticks"
    );
}

/// Computes for this long by the clock.
pub fn keep_thread(milliseconds: u64) {
    let end = now() + milliseconds * 1_000_000;
    while now() < end {}
}

fn now() -> u64 {
    let mut time = 0;
    raw::proxy_get_current_time_nanoseconds(&raw mut time);
    time
}

/// Adds a header line; the host checks what the pointers mean.
pub fn add_header(map: u32, name: &str, value: &str) {
    let status = raw::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len());
    assert_eq!(status, 0, "the host refused a header");
}

/// The version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// The one value that the host gives back to these guests is that of a header, which nobody reads.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: u32) -> u32 {
    static PLACE: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
    if size as usize > PLACE.len() {
        return 0;
    }
    PLACE.as_ptr().addr() as u32
}
