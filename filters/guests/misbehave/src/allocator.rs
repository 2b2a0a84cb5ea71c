//! The allocator that the host calls in the middle of hostcalls.

use std::cell::Cell;

use crate::guest;

/// What the next allocation does: an address for the host, or `None` for a real allocation.
type Hook = fn(u32) -> Option<u32>;

thread_local! {
    static HOOK: Cell<Option<Hook>> = const { Cell::new(None) };
}

/// Arms `hook` and makes the host allocate.
pub fn provoke(hook: Hook) {
    HOOK.set(Some(hook));
    guest::shared_data_round_trip();
    HOOK.set(None);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: u32) -> u32 {
    // Taken, so that a hook that calls the host does not meet itself.
    if let Some(pointer) = HOOK.take().and_then(|hook| hook(size)) {
        return pointer;
    }
    let bytes = vec![0_u8; size as usize].leak();
    bytes.as_ptr().expose_provenance() as u32
}

/// Takes over what the host put into memory from [`proxy_on_memory_allocate`].
pub fn adopt(pointer: u32, len: u32) -> Vec<u8> {
    if pointer == 0 || len == 0 {
        return Vec::new();
    }
    let start = core::ptr::with_exposed_provenance_mut::<u8>(pointer as usize);
    // SAFETY: the host wrote `len` bytes to a leaked allocation of exactly that size, and gave it to nobody else.
    unsafe { Vec::from_raw_parts(start, len as usize, len as usize) }
}
