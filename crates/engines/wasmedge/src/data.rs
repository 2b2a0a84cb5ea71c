//! Weir's part of an instance, beside WasmEdge's own.

use std::ptr::NonNull;
use std::sync::Arc;

use weir_engine::{HostFunc, HostState};
use weir_engine_support::{Allocator, Deadline, Ended, MemoryGuard, PAGE};

use crate::library::{Executor, Function, Memory};
use crate::module::Loaded;

/// The data that host functions reach. Only the thread that is inside the guest, or holds the instance, touches it.
pub(crate) struct Data {
    pub state: Box<dyn HostState>,
    pub module: Arc<Loaded>,
    pub executor: *mut Executor,
    /// The export `memory`; null where there is none, or while the instance is being made.
    pub memory: *mut Memory,
    pub allocator: Allocator<*mut Function>,
    pub guard: MemoryGuard,
    pub deadline: Deadline,
    /// A host function's reason to end the guest.
    pub ended: Ended,
}

/// An import of an instance: what the library hands to the host function.
pub(crate) struct Import {
    pub data: NonNull<Data>,
    pub func: &'static HostFunc,
}

impl Data {
    /// The linear memory as it lies now: it may move when it grows.
    ///
    /// # Safety
    ///
    /// The instance is alive, and its guest does not run as long as the slice lives.
    pub unsafe fn bytes<'a>(module: &Loaded, memory: *mut Memory) -> &'a mut [u8] {
        if memory.is_null() {
            return &mut [];
        }
        let library = module.library;
        // SAFETY: the memory of a living instance.
        let size = unsafe { (library.memory_pages)(memory) } as usize * PAGE;
        // SAFETY: the memory of a living instance; the range is the whole memory.
        let base = unsafe { (library.memory_pointer)(memory, 0, size as u64) };
        if base.is_null() || size == 0 {
            return &mut [];
        }
        // SAFETY: so many bytes are there, until the memory grows or the instance goes; the caller sees to it that neither
        // happens.
        unsafe { std::slice::from_raw_parts_mut(base, size) }
    }
}
