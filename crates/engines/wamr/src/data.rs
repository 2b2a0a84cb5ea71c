//! Weir's part of an instance, beside WAMR's own.

use std::ptr::NonNull;
use std::sync::Arc;

use wamrx_sys::{
    enlarge_memory_error_reason_t, wasm_exec_env_t, wasm_function_inst_t, wasm_memory_get_base_address,
    wasm_memory_get_bytes_per_page, wasm_memory_get_cur_page_count, wasm_memory_inst_t, wasm_module_inst_t,
    wasm_runtime_get_custom_data,
};
use weir_engine::HostState;
use weir_engine_support::{Allocator, Ended, MemoryGuard, PAGE};

use crate::module::Loaded;

/// The target of the instance's custom data. Only the thread that is inside the guest, or holds the instance, touches it.
pub(crate) struct Data {
    pub state: Box<dyn HostState>,
    pub module: Arc<Loaded>,
    /// The export `memory`; null where there is none, or while the instance is being made.
    pub memory: wasm_memory_inst_t,
    pub allocator: Allocator<wasm_function_inst_t>,
    pub guard: MemoryGuard,
    /// A host function's reason to end the guest.
    pub ended: Ended,
}

impl Data {
    /// The data of an instance; `None` for one that has none.
    ///
    /// # Safety
    ///
    /// `instance` is alive, and was made by `WamrInstance::new`.
    pub unsafe fn of(instance: wasm_module_inst_t) -> Option<NonNull<Self>> {
        // SAFETY: the caller keeps the instance alive; the call only reads a field of it.
        NonNull::new(unsafe { wasm_runtime_get_custom_data(instance) }.cast())
    }

    /// The linear memory as it lies now: it moves when it grows.
    ///
    /// # Safety
    ///
    /// The instance is alive, and its guest does not run as long as the slice lives.
    pub unsafe fn bytes<'a>(memory: wasm_memory_inst_t) -> &'a mut [u8] {
        if memory.is_null() {
            return &mut [];
        }
        // SAFETY: the memory of a living instance.
        let (base, pages, page) = unsafe {
            (
                wasm_memory_get_base_address(memory),
                wasm_memory_get_cur_page_count(memory),
                wasm_memory_get_bytes_per_page(memory),
            )
        };
        let size = usize::try_from(pages.saturating_mul(page)).unwrap_or(0);
        if base.is_null() || size == 0 {
            return &mut [];
        }
        // SAFETY: WAMR keeps so many bytes there, initialised, until the memory grows or the instance goes; the caller sees
        // to it that neither happens.
        unsafe { std::slice::from_raw_parts_mut(base.cast(), size) }
    }
}

/// A memory was not made larger: notes it for the explanation of the trap that mostly follows.
///
/// # Safety
///
/// `instance` is alive, was made by `WamrInstance::new`, and its guest runs on this thread. Only WAMR calls this.
pub(crate) unsafe extern "C" fn on_memory_refused(
    pages: u32,
    current: u64,
    _memory: u32,
    _reason: enlarge_memory_error_reason_t,
    instance: wasm_module_inst_t,
    _env: wasm_exec_env_t,
    _user_data: *mut std::ffi::c_void,
) {
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    let wanted = current.saturating_add((pages as usize).saturating_mul(PAGE));
    // SAFETY: WAMR calls this on the thread of the guest that asked, whose instance is alive. Nobody else holds its data
    // while the guest runs.
    if let Some(mut data) = unsafe { Data::of(instance) } {
        // SAFETY: the data of the instance, which nobody else holds while its guest runs on this thread.
        let guard = unsafe { &mut data.as_mut().guard };
        // A guard of its own knows the size as it is now.
        let mut now = MemoryGuard::new(guard.limit());
        now.grow_memory(0, wanted);
        *guard = now;
    }
}
