//! The server's log, and the one other function whose arguments depend on the version.
//!
//! The C functions take a format; here it is always `%s`, so a text that carries percent signs does no harm.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::table::{Entry, NOT_LOADED, name};
use crate::{Line, TSIOBuffer, TSMBuffer, TSMLoc, version};

type Print = unsafe extern "C" fn(*const c_char, ...);

macro_rules! printers {
    ($($(#[$doc:meta])* fn $name:ident = $mangled:literal;)*) => {
        mod address {
            use super::{AtomicPtr, NOT_LOADED, c_void};

            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new(NOT_LOADED);)*
        }

        $(
            $(#[$doc])*
            ///
            /// Ends the process if `load` has not succeeded.
            pub fn $name(text: &CStr) {
                let found = address::$name.load(Ordering::Relaxed);
                // SAFETY: the entry holds the server's printf-like function, or one that ends the process.
                let call = unsafe { std::mem::transmute::<*mut c_void, Print>(found) };
                // SAFETY: the format wants one text that ends with NUL, and gets one; any thread may log.
                unsafe { call(c"%s".as_ptr(), text.as_ptr()) }
            }
        )*

        pub(crate) static ENTRIES: &[Entry] = &[
            $(Entry::new(
                name(concat!(stringify!($name), "\0")),
                name(concat!($mangled, "\0")),
                true,
                &address::$name,
            ),)*
            Entry::new(c"TSMimeHdrPrint", c"", true, &PRINT_V9),
            Entry::new(c"", c"_Z14TSMimeHdrPrintP10tsapi_mlocP14tsapi_iobuffer", true, &PRINT_V10),
        ];
    };
}

printers! {
    /// Writes to `diags.log` at level STATUS.
    fn TSStatus = "_Z8TSStatusPKcz";
    /// Writes to `diags.log` at level NOTE.
    fn TSNote = "_Z6TSNotePKcz";
    /// Writes to `diags.log` at level WARNING.
    fn TSWarning = "_Z9TSWarningPKcz";
    /// Writes to `diags.log` and `error.log` at level ERROR.
    fn TSError = "_Z7TSErrorPKcz";
    /// Writes at level FATAL and ends the server; a supervisor starts it again.
    fn TSFatal = "_Z7TSFatalPKcz";
    /// Writes at level ALERT and ends the server; a supervisor starts it again.
    fn TSAlert = "_Z7TSAlertPKcz";
    /// Writes at level EMERGENCY and ends the server for good.
    fn TSEmergency = "_Z11TSEmergencyPKcz";
}

static PRINT_V9: AtomicPtr<c_void> = AtomicPtr::new(NOT_LOADED);
static PRINT_V10: AtomicPtr<c_void> = AtomicPtr::new(NOT_LOADED);

/// C function `TSMimeHdrPrint`, which lost its first argument in 10.0.
///
/// # Safety
///
/// `load` succeeded before; `hdr` is a header of `buf`, `out` a buffer.
pub unsafe fn TSMimeHdrPrint(buf: TSMBuffer, hdr: TSMLoc, out: TSIOBuffer) {
    match version().line {
        Line::V9 => {
            let found = PRINT_V9.load(Ordering::Relaxed);
            // SAFETY: this is the signature on 9.2, and the entry is filled there.
            let call = unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(TSMBuffer, TSMLoc, TSIOBuffer)>(found)
            };
            // SAFETY: the caller keeps the rules for the arguments.
            unsafe { call(buf, hdr, out) }
        }
        Line::V10 => {
            let found = PRINT_V10.load(Ordering::Relaxed);
            // SAFETY: this is the signature on 10.x, and the entry is filled there.
            let call = unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(TSMLoc, TSIOBuffer)>(found)
            };
            // SAFETY: the caller keeps the rules for the arguments.
            unsafe { call(hdr, out) }
        }
    }
}
