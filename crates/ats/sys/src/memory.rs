//! The server's allocator.
//!
//! The plugin allocates here what the server takes over ([`Given`]), and frees here what the server hands over as
//! `char *`. Rust's own allocator has nothing to do with it. The table of all such memory is in the crate's documentation.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::table::{Entry, NOT_LOADED};

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

/// The name of these allocations in the server's memory tracking.
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
    // SAFETY: the entry holds the function that this signature belongs to, or one that ends the process.
    let call = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(found) };
    // SAFETY: the caller keeps the rule for `ptr`.
    unsafe { call(ptr) }
}

/// Bytes in the server's memory, for a function of the server that takes them over and frees them later. Freed when dropped
/// before that.
///
/// No bytes are NULL and not an allocation of length 0: the server hangs such a buffer into a chain of blocks whose size
/// class it encodes as the negated length, and 0 is the class of 128 bytes. It would put our few bytes into the freelist of
/// that class, and the next who gets them from there would write beyond their end (seen on 9.2.9, where the server dies in
/// the next DNS look-ups).
#[derive(Debug)]
pub struct Given {
    data: *mut c_char,
    len: usize,
}

impl Given {
    /// Copies bytes.
    ///
    /// # Safety
    ///
    /// `load` succeeded before. The server ends the process if there is no memory.
    pub unsafe fn bytes(bytes: &[u8]) -> Self {
        // SAFETY: the caller keeps the rule.
        unsafe { Self::pieces(&[bytes]) }
    }

    /// Copies bytes that lie in pieces.
    ///
    /// # Safety
    ///
    /// As [`Given::bytes`].
    pub unsafe fn pieces(pieces: &[&[u8]]) -> Self {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let mut data = std::ptr::null_mut();
        if len > 0 {
            // SAFETY: the caller has loaded the table.
            data = unsafe { TSmalloc(len) }.cast::<u8>();
            let mut at = 0;
            for piece in pieces {
                // SAFETY: the pieces before this one have `at` bytes, and all together have the `len` that were asked for.
                unsafe { data.add(at).copy_from_nonoverlapping(piece.as_ptr(), piece.len()) };
                at += piece.len();
            }
        }
        Self {
            data: data.cast(),
            len,
        }
    }

    /// Copies a text with the NUL at its end; the empty text is one byte, and not NULL.
    ///
    /// # Safety
    ///
    /// `load` succeeded before. The server ends the process if there is no memory.
    pub unsafe fn text(text: &CStr) -> Self {
        // SAFETY: the caller has loaded the table; there is one byte at least.
        unsafe { Self::bytes(text.to_bytes_with_nul()) }
    }

    /// The address and the length in bytes, for the function that takes the memory over. The address is NULL if and only if
    /// the length is 0.
    #[must_use = "the memory is the caller's to hand over"]
    pub fn into_raw(self) -> (*mut c_char, usize) {
        let given = std::mem::ManuallyDrop::new(self);
        (given.data, given.len)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: it came from this allocator or is NULL, and nobody else has it: `into_raw` does not come here.
        unsafe { TSfree(self.data.cast()) };
    }
}

static FREE: AtomicPtr<c_void> = AtomicPtr::new(NOT_LOADED);

/// The entries that the macro declared.
pub(crate) static TRACKED_ENTRIES: &[Entry] = tracked::ENTRIES;

/// The function whose two symbols differ by more than the mangling.
pub(crate) static ENTRIES: &[Entry] = &[Entry::new(c"_TSfree", c"_Z6TSfreePv", true, &FREE)];
