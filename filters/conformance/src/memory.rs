//! The allocator that the host fills with its answers.

use std::cell::Cell;

/// What is called at each allocation, with its size; what it returns, if anything, is given to the host.
pub type Hook = fn(u32) -> Option<u32>;

thread_local! {
    static HOOK: Cell<Option<Hook>> = const { Cell::new(None) };
}

/// Calls `hook` at each allocation from now on.
pub fn on_allocate(hook: Option<Hook>) {
    HOOK.set(hook);
}

/// Called by the host for each answer that is not empty.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: u32) -> u32 {
    if let Some(pointer) = HOOK.get().and_then(|hook| hook(size)) {
        return pointer;
    }
    let mut bytes = Vec::<u8>::with_capacity(size as usize);
    let pointer = bytes.as_mut_ptr() as u32;
    std::mem::forget(bytes);
    pointer
}

/// Takes over what the host put into memory from [`proxy_on_memory_allocate`].
pub(crate) fn adopt(pointer: u32, size: u32) -> Vec<u8> {
    if pointer == 0 || size == 0 {
        return Vec::new();
    }
    // SAFETY: the host wrote `size` bytes to an allocation of exactly that size, made above, and gave it to nobody else.
    unsafe { Vec::from_raw_parts(pointer as *mut u8, size as usize, size as usize) }
}
