//! The library before V8, opened while the process runs.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use weir_engine::Unavailable;
use weir_engine_support::{Companion, TABLE_LIMIT, root_cause};

/// `WEIR_V8_INTERFACE` of `shim/weir_v8.h`.
const INTERFACE: u32 = 1;

/// The library.
const COMPANION: Companion = Companion {
    file: "libweir_v8.so",
    variable: "WEIR_V8_LIB",
    command: "cargo xtask v8",
    source: "V8 from Debian's libnode",
};

/// A compiled module, as the library has it.
#[repr(C)]
pub(crate) struct RawModule([u8; 0]);

/// An instance, as the library has it.
#[repr(C)]
pub(crate) struct RawInstance([u8; 0]);

/// `WeirV8Import`.
#[repr(C)]
pub(crate) struct Import {
    pub module: *const c_char,
    pub name: *const c_char,
    pub signature: *const c_char,
}

/// `WeirV8Host`.
pub(crate) type Host = unsafe extern "C" fn(*mut c_void, u32, *const u64, *mut u64) -> c_int;
/// `WeirV8Expired`.
pub(crate) type Expired = unsafe extern "C" fn(*mut c_void) -> c_int;

/// `WEIR_V8_DONE`.
pub(crate) const DONE: c_int = 0;
/// `WEIR_V8_ENDED`.
pub(crate) const ENDED: c_int = 1;

macro_rules! functions {
    ($($name:ident: $symbol:literal $type:ty;)*) => {
        /// The library's functions; `shim/weir_v8.h` says what each does.
        pub(crate) struct Library {
            /// The path of the library.
            pub path: PathBuf,
            $(pub $name: $type,)*
        }

        impl Library {
            fn load(path: &Path) -> Result<Self, String> {
                // SAFETY: running what the operator has named, or what lies where only an administrator writes, is what is
                // asked for; its initialisers are those of V8 and Node.js.
                let library = unsafe { libloading::Library::new(path) }.map_err(|error| root_cause(&error))?;
                // Never closed: V8 has threads.
                let library = Box::leak(Box::new(library));
                let missing = |name: &str| format!("it has no function {name}: it is not Weir's library for V8");
                let interface = "weir_v8_interface";
                // SAFETY: the function has this type in every version of the library.
                let number = *unsafe { library.get::<unsafe extern "C" fn() -> u32>(interface) }
                    .map_err(|_| missing(interface))?;
                // SAFETY: the function takes nothing, and may be called at any time.
                let found = unsafe { number() };
                if found != INTERFACE {
                    return Err(format!("its interface is {found}, this build of Weir needs {INTERFACE}"));
                }
                Ok(Self {
                    path: path.to_owned(),
                    // SAFETY: with this interface the functions have these types.
                    $($name: *unsafe { library.get::<$type>($symbol) }.map_err(|_| missing($symbol))?,)*
                })
            }
        }
    };
}

functions! {
    raw_version: "weir_v8_version" unsafe extern "C" fn() -> *const c_char;
    start: "weir_v8_start" unsafe extern "C" fn(u32);
    compile: "weir_v8_compile" unsafe extern "C" fn(*const u8, usize, *mut c_char, usize) -> *mut RawModule;
    release: "weir_v8_release" unsafe extern "C" fn(*mut RawModule);
    create: "weir_v8_create" unsafe extern "C" fn(Host, Expired, *mut c_void) -> *mut RawInstance;
    instantiate: "weir_v8_instantiate" unsafe extern "C" fn(
        *mut RawInstance, *const RawModule, *const Import, usize, *const c_char, *const c_char, c_int, u32, u32, usize,
        *mut c_char, usize) -> c_int;
    destroy: "weir_v8_destroy" unsafe extern "C" fn(*mut RawInstance);
    export: "weir_v8_export" unsafe extern "C" fn(*mut RawInstance, *const c_char) -> i64;
    call: "weir_v8_call" unsafe extern "C" fn(
        *mut RawInstance, u32, *const u32, usize, *mut u32, usize, *mut c_char, usize) -> c_int;
    memory: "weir_v8_memory" unsafe extern "C" fn(*mut RawInstance, *mut *mut u8) -> usize;
    interrupt: "weir_v8_interrupt" unsafe extern "C" fn(*mut RawInstance);
}

impl Library {
    /// The library, opened and V8 started, once a process. What could not be opened is looked for again the next time.
    pub fn open() -> Result<&'static Self, Unavailable> {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = LIBRARY.get() {
            return Ok(library);
        }
        let library = Self::find()?;
        // SAFETY: called once, before all else of the library.
        unsafe { (library.start)(TABLE_LIMIT as u32) };
        Ok(LIBRARY.get_or_init(|| library))
    }

    fn find() -> Result<Self, Unavailable> {
        let path = COMPANION.find()?;
        Self::load(&path).map_err(|problem| COMPANION.unusable(&path, &problem))
    }

    /// V8's version.
    pub fn version(&self) -> String {
        // SAFETY: a static text that ends with NUL.
        let text = unsafe { CStr::from_ptr((self.raw_version)()) };
        text.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_libraries_are_refused() {
        let error = Library::load(Path::new("libc.so.6")).err().unwrap();
        assert_eq!(
            error,
            "it has no function weir_v8_interface: it is not Weir's library for V8"
        );
    }
}
