//! The server's allocator.
//!
//! What the server takes over (the body of a local reply) is allocated here, what it hands over as `char *` is freed
//! here. Rust's own allocator has nothing to do with it.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::table::{NOT_LOADED, Slot};

pub use tracked::{_TSmalloc, _TSrealloc, _TSstrdup};

mod tracked {
    use std::ffi::{c_char, c_void};

    functions! {
        required {
            fn _TSmalloc(size: usize, path: *const c_char) -> *mut c_void = "_Z9_TSmallocmPKc";
            fn _TSrealloc(ptr: *mut c_void, size: usize, path: *const c_char) -> *mut c_void = "_Z10_TSreallocPvmPKc";
            fn _TSstrdup(text: *const c_char, len: i64, path: *const c_char) -> *mut c_char = "_Z9_TSstrdupPKclS0_";
        }
        optional {}
    }
}

/// What the server's memory tracking shows these allocations under.
const TRACKED_AS: &CStr = c"memory/weir";

/// `TSmalloc`: a macro on 9.2, inline on 10.x.
///
/// # Safety
///
/// `load` succeeded before. The server ends the process if there is no memory.
#[inline]
pub unsafe fn TSmalloc(size: usize) -> *mut c_void {
    // SAFETY: the second argument is a static text.
    unsafe { _TSmalloc(size, TRACKED_AS.as_ptr()) }
}

/// `TSrealloc`: a macro on 9.2, inline on 10.x.
///
/// # Safety
///
/// `load` succeeded before, and `ptr` came from this allocator or is NULL.
#[inline]
pub unsafe fn TSrealloc(ptr: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller keeps the rule for `ptr`; the last argument is a static text.
    unsafe { _TSrealloc(ptr, size, TRACKED_AS.as_ptr()) }
}

/// `TSstrdup`: a macro on 9.2, inline on 10.x.
///
/// # Safety
///
/// `load` succeeded before, and `text` ends with NUL.
#[inline]
pub unsafe fn TSstrdup(text: *const c_char) -> *mut c_char {
    // SAFETY: a negative length says that the text ends with NUL, which the caller promises.
    unsafe { _TSstrdup(text, -1, TRACKED_AS.as_ptr()) }
}

/// `TSstrndup`: a macro on 9.2, inline on 10.x. The copy ends with NUL.
///
/// # Safety
///
/// `load` succeeded before, and `text` has `len` bytes, or ends with NUL where `len` is negative.
#[inline]
pub unsafe fn TSstrndup(text: *const c_char, len: i64) -> *mut c_char {
    // SAFETY: the caller keeps the rule for the two.
    unsafe { _TSstrdup(text, len, TRACKED_AS.as_ptr()) }
}

/// `TSfree`: a macro over `_TSfree` on 9.2, a function on 10.x.
///
/// # Safety
///
/// `load` succeeded before, and `ptr` came from this allocator or is NULL.
#[inline]
pub unsafe fn TSfree(ptr: *mut c_void) {
    let found = FREE.load(Ordering::Relaxed);
    // SAFETY: the slot holds the function that this signature belongs to, or one that ends the process.
    let call = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(found) };
    // SAFETY: the caller keeps the rule for `ptr`.
    unsafe { call(ptr) }
}

static FREE: AtomicPtr<c_void> = AtomicPtr::new(NOT_LOADED);

/// What the macro declared.
pub(crate) static TRACKED_SLOTS: &[Slot] = tracked::SLOTS;

/// The function whose two symbols differ by more than the mangling.
pub(crate) static SLOTS: &[Slot] = &[Slot::new(c"_TSfree", c"_Z6TSfreePv", true, &FREE)];
