//! The table of functions: where each is looked up, and what is there before that.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::Line;

/// One function or variable of the server.
pub(crate) struct Entry {
    /// The symbol on 9.2, empty if that line has none.
    pub c_name: &'static CStr,
    /// The symbol on 10.x, empty if that line has none.
    pub mangled: &'static CStr,
    /// True if the plugin cannot work without it.
    pub required: bool,
    pub address: &'static AtomicPtr<c_void>,
    /// The argument types as they are written, which the tests mangle.
    #[cfg(test)]
    pub arguments: &'static [&'static str],
}

impl Entry {
    /// An entry that no macro declares.
    pub const fn new(
        c_name: &'static CStr,
        mangled: &'static CStr,
        required: bool,
        address: &'static AtomicPtr<c_void>,
    ) -> Self {
        Self {
            c_name,
            mangled,
            required,
            address,
            #[cfg(test)]
            arguments: &[],
        }
    }

    /// The symbol in a line of releases, empty if that line has none.
    pub const fn symbol(&self, line: Line) -> &'static CStr {
        match line {
            Line::V9 => self.c_name,
            Line::V10 => self.mangled,
        }
    }

    /// The name for people.
    pub fn label(&self) -> &'static str {
        let name = if self.c_name.is_empty() {
            self.mangled
        } else {
            self.c_name
        };
        name.to_str().unwrap_or_default()
    }
}

/// The value of a required function's entry before it is filled.
pub(crate) const NOT_LOADED: *mut c_void = not_loaded as *mut c_void;

/// A function that only some of the supported servers have.
pub struct Optional<F> {
    address: AtomicPtr<c_void>,
    function: PhantomData<F>,
}

impl<F: Copy> Optional<F> {
    /// An entry that is not filled yet.
    ///
    /// # Safety
    ///
    /// `F` is an `extern "C"` function pointer, and only the address of a function of that type is ever stored.
    pub(crate) const unsafe fn empty() -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        Self {
            address: AtomicPtr::new(ptr::null_mut()),
            function: PhantomData,
        }
    }

    /// The function, if `load` found it in this server.
    #[inline]
    pub fn get(&self) -> Option<F> {
        let found = self.address.load(Ordering::Relaxed);
        if found.is_null() {
            return None;
        }
        // SAFETY: by the contract of `empty` this is the address of a function of type `F`, which is one pointer wide.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&found) })
    }

    pub(crate) const fn address(&'static self) -> &'static AtomicPtr<c_void> {
        &self.address
    }
}

impl<F> fmt::Debug for Optional<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Optional").field(&self.address).finish()
    }
}

/// A symbol's name out of a text that ends with NUL; anything else does not compile.
pub(crate) const fn name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a symbol's name ends with NUL"),
    }
}

/// Stands in for every required function until `load` has succeeded.
pub(crate) extern "C" fn not_loaded() -> ! {
    const MESSAGE: &[u8] =
        b"weir: a function of Traffic Server was called before weir_ats_sys::load succeeded\n";
    // SAFETY: the buffer and its length belong together; nothing else is touched.
    unsafe { libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
    std::process::abort()
}
