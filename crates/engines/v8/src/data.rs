//! Weir's part of an instance, beside V8's own.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use weir_engine::{HostState, MAX_PARAMS, Trap, TrapKind};
use weir_engine_support::{Allocator, Deadline, Ended, MemoryGuard, Verdict, guarded};

use crate::caller::Guest;
use crate::library::RawInstance;
use crate::module::Compiled;

/// Only the thread that is inside the guest, or holds the instance, touches it.
pub(crate) struct Data {
    pub state: Box<dyn HostState>,
    pub module: Arc<Compiled>,
    /// Null until it is made.
    pub raw: *mut RawInstance,
    /// An export's number.
    pub allocator: Allocator<u32>,
    pub deadline: Deadline,
    pub guard: MemoryGuard,
    /// The end of the guest by something other than V8.
    pub ended: Ended,
}

impl Data {
    /// The linear memory as it lies now.
    ///
    /// # Safety
    ///
    /// The instance is alive, and its guest does not run as long as the slice lives.
    pub unsafe fn bytes<'a>(&self) -> &'a mut [u8] {
        if !self.module.shows_memory {
            return &mut [];
        }
        let mut base = std::ptr::null_mut();
        // SAFETY: the instance is alive.
        let size = unsafe { (self.module.library.memory)(self.raw, &mut base) };
        if base.is_null() || size == 0 {
            return &mut [];
        }
        // SAFETY: V8 keeps so many bytes there, initialised, until the memory grows or the instance goes; the caller sees to
        // it that neither happens.
        unsafe { std::slice::from_raw_parts_mut(base, size) }
    }
}

/// `WeirV8Host`: the library calls it for each import.
///
/// # Safety
///
/// `data` is null or the [`Data`] of the instance whose guest is calling on this thread, to which no other reference exists.
/// `arguments` has room for [`MAX_PARAMS`] values, initialised as far as the function has parameters, and `result` is
/// writable.
pub(crate) unsafe extern "C" fn call(
    data: *mut c_void,
    index: u32,
    arguments: *const u64,
    result: *mut u64,
) -> c_int {
    let Some(data) = NonNull::new(data.cast::<Data>()) else {
        return 1;
    };
    // SAFETY: the data of the instance whose guest is calling on this thread; nobody else holds it.
    let mut guest = unsafe { Guest::new(data) };
    let outcome = guarded(|| {
        let func = guest.data().module.funcs.get(index as usize).copied();
        let func = func.ok_or_else(|| Trap::host("the guest called a function that it does not import"))?;
        let count = func.signature.params.len().min(MAX_PARAMS);
        // SAFETY: the library has room for 16 arguments, as many as a host function has at most.
        let arguments = unsafe { std::slice::from_raw_parts(arguments, count) };
        let value = func.run(&mut guest, arguments)?;
        // V8 asks only where the guest loops or calls.
        if guest.data().deadline.poll() == Verdict::Expired {
            return Err(Trap::new(TrapKind::Deadline));
        }
        Ok(value)
    });
    match guest.data().ended.note(outcome) {
        Some(value) => {
            // SAFETY: the library's place for the result.
            unsafe { result.write(value) };
            0
        }
        None => 1,
    }
}

/// `WeirV8Expired`: the library asks when a guest has run for a while; 1 ends the guest.
///
/// # Safety
///
/// `data` is null or the [`Data`] of the instance whose guest runs on this thread, to which no other reference exists.
pub(crate) unsafe extern "C" fn expired(data: *mut c_void) -> c_int {
    // SAFETY: the data of the instance whose guest runs on this thread. V8 asks between two of the guest's instructions, so
    // no host function runs that could hold a reference.
    let Some(data) = (unsafe { data.cast::<Data>().as_mut() }) else {
        return 1;
    };
    if data.deadline.tick() == Verdict::Continue {
        return 0;
    }
    data.ended.set_trap(Trap::new(TrapKind::Deadline));
    1
}
