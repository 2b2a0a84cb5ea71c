//! Debug output under a tag, which the two lines do in different ways.
//!
//! 9.2 asks `TSIsDebugTagSet` each time. 10.x registers a tag once and keeps a flag for it, next to a mode for the
//! whole server: 0 is off, an odd number on, 2 on for some clients only.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use crate::table::{Entry, Optional};

/// A tag of debug output, as `proxy.config.diags.debug.tags` selects it. Meant to be a `static`.
#[derive(Debug)]
pub struct DebugTag {
    tag: &'static CStr,
    /// The record of 10.x for the tag; NULL until it was asked for.
    control: AtomicPtr<Control>,
}

/// The record of 10.x for a registered tag. It is never freed and changes when the configuration does.
#[repr(C)]
struct Control {
    tag: *const c_char,
    on: AtomicBool,
}

const _: () = assert!(size_of::<Control>() == 16 && std::mem::offset_of!(Control, on) == 8);

impl DebugTag {
    /// A tag of this name.
    pub const fn new(tag: &'static CStr) -> Self {
        Self {
            tag,
            control: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// True if output under the tag is wanted now; never before `load`.
    #[inline]
    pub fn on(&self) -> bool {
        if let Some(mode) = MODE.get() {
            let mode = mode.load(Ordering::Relaxed);
            return mode != 0 && self.on_v10(mode);
        }
        debug_enabled(self.tag)
    }

    /// Prints a line under the tag, which was on when the line came about. May be called by another thread then: 9.2 has debug
    /// output for some clients only (`proxy.config.diags.debug.enabled` 2) go by the thread and prints nothing here, so the line
    /// becomes one of level STATUS.
    pub fn print(&self, text: &CStr) {
        if IS_SET_V9.get().is_some() && !self.on() {
            crate::TSStatus(text);
        } else if let Some(print) = PRINT_V9.get() {
            // SAFETY: tag and text end with NUL, and the format wants the one text it gets.
            unsafe { print(self.tag.as_ptr(), c"%s".as_ptr(), text.as_ptr()) };
        } else if let Some(print) = PRINT_V10.get() {
            // SAFETY: all texts end with NUL, file and function are names to show, and the format wants the one text it gets.
            unsafe {
                print(
                    self.tag.as_ptr(),
                    c"weir".as_ptr(),
                    c"".as_ptr(),
                    0,
                    c"%s".as_ptr(),
                    text.as_ptr(),
                );
            }
        }
    }

    fn on_v10(&self, mode: c_int) -> bool {
        // SAFETY: `control` is NULL or what 10.x keeps for the tag until the process ends.
        let Some(control) = (unsafe { self.control().as_ref() }) else {
            return false;
        };
        control.on.load(Ordering::Relaxed) && (mode & 1 == 1 || (mode == 2 && for_this_client()))
    }

    fn control(&self) -> *const Control {
        let known = self.control.load(Ordering::Acquire);
        if !known.is_null() {
            return known;
        }
        let Some(register) = REGISTER.get() else {
            return ptr::null();
        };
        // SAFETY: the tag ends with NUL; the server copies it, and answers the same address for the same tag.
        let control = unsafe { register(self.tag.as_ptr()) };
        self.control.store(control, Ordering::Release);
        control
    }
}

/// True if debug output under a tag is wanted now; never before `load`. [`DebugTag`] is cheaper where it is asked
/// often.
pub fn debug_enabled(tag: &CStr) -> bool {
    if let Some(is_set) = IS_SET_V9.get() {
        // SAFETY: the tag ends with NUL; any thread may ask.
        return unsafe { is_set(tag.as_ptr()) } != 0;
    }
    let (Some(mode), Some(register)) = (MODE.get(), REGISTER.get()) else {
        return false;
    };
    let mode = mode.load(Ordering::Relaxed);
    if mode == 0 {
        return false;
    }
    // SAFETY: the tag ends with NUL; the server copies it and keeps what it answers until the process ends.
    let on =
        unsafe { register(tag.as_ptr()).as_ref() }.is_some_and(|control| control.on.load(Ordering::Relaxed));
    on && (mode & 1 == 1 || (mode == 2 && for_this_client()))
}

fn for_this_client() -> bool {
    // SAFETY: it takes nothing, and looks at the thread's own state.
    OVERRIDE.get().is_some_and(|call| unsafe { call() })
}

/// A variable of 10.x, reached like an optional function: it is read through the address that `load` found.
struct Mode(AtomicPtr<c_void>);

impl Mode {
    #[inline]
    fn get(&self) -> Option<&'static AtomicI32> {
        // SAFETY: the address is NULL or that of `DbgCtl::_config_mode`, an atomic int that lives as long as the
        // process.
        unsafe { self.0.load(Ordering::Relaxed).cast::<AtomicI32>().as_ref() }
    }
}

static MODE: Mode = Mode(AtomicPtr::new(ptr::null_mut()));

/// `int TSIsDebugTagSet(const char *)`, 9.2.
// SAFETY: the entry of this name below has that signature.
static IS_SET_V9: Optional<unsafe extern "C" fn(*const c_char) -> c_int> = unsafe { Optional::empty() };

/// `void TSDebug(const char *tag, const char *format, ...)`, 9.2.
// SAFETY: the entry of this name below has that signature.
static PRINT_V9: Optional<unsafe extern "C" fn(*const c_char, *const c_char, ...)> =
    unsafe { Optional::empty() };

/// `DbgCtl::_new_reference(const char *tag)`, 10.x.
// SAFETY: the entry of this name below has that signature.
static REGISTER: Optional<unsafe extern "C" fn(*const c_char) -> *mut Control> = unsafe { Optional::empty() };

/// `DbgCtl::print(tag, file, function, line, format, ...)`, 10.x: prints whatever the state of the tag.
// SAFETY: the entry of this name below has that signature.
static PRINT_V10: Optional<
    unsafe extern "C" fn(*const c_char, *const c_char, *const c_char, c_int, *const c_char, ...),
> = unsafe { Optional::empty() };

/// `bool DbgCtl::_override_global_on()`, 10.x.
// SAFETY: the entry of this name below has that signature.
static OVERRIDE: Optional<unsafe extern "C" fn() -> bool> = unsafe { Optional::empty() };

/// None is required: the classes of 10.x are no promise, and a plugin works without debug output.
pub(crate) static ENTRIES: &[Entry] = &[
    Entry::new(c"TSIsDebugTagSet", c"", false, IS_SET_V9.address()),
    Entry::new(c"TSDebug", c"", false, PRINT_V9.address()),
    Entry::new(c"", c"_ZN6DbgCtl14_new_referenceEPKc", false, REGISTER.address()),
    Entry::new(
        c"",
        c"_ZN6DbgCtl5printEPKcS1_S1_iS1_z",
        false,
        PRINT_V10.address(),
    ),
    Entry::new(c"", c"_ZN6DbgCtl12_config_modeE", false, &MODE.0),
    Entry::new(
        c"",
        c"_ZN6DbgCtl19_override_global_onEv",
        false,
        OVERRIDE.address(),
    ),
];
