//! WAMR's compiler, a library of its own that is opened when something is to be compiled ahead of time.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use weir_engine::{Companion, CompileError, Unavailable, root_cause};

use crate::module::{Message, text};

/// `weir_wamr_compiler_interface` of `compiler/weir_wamr_compiler.c`.
const INTERFACE: u32 = 1;

const COMPANION: Companion = Companion {
    file: "libweir_wamr_compiler.so",
    variable: "WEIR_WAMR_COMPILER_LIB",
    command: "cargo xtask wamr-compiler",
    source: "LLVM from Debian's llvm-14-dev",
};

/// The least that a processor must have to run what is compiled here: LLVM's name for it.
pub(crate) const PROCESSOR: &str = if cfg!(target_arch = "x86_64") {
    "x86-64-v2"
} else {
    "generic"
};

/// The library's functions.
pub(crate) struct Compiler {
    compile: unsafe extern "C" fn(
        *mut u8,
        u32,
        *const c_char,
        *const c_char,
        *mut u32,
        *mut c_char,
        u32,
    ) -> *mut u8,
    free: unsafe extern "C" fn(*mut u8),
    one_at_a_time: Mutex<()>,
}

/// Whether the library is there.
pub(crate) fn is_there() -> bool {
    COMPANION.find().is_ok()
}

impl Compiler {
    /// The library, opened and started, once a process. What could not be opened is looked for again the next time.
    pub fn open(wamr: &str) -> Result<&'static Self, Unavailable> {
        static COMPILER: OnceLock<Compiler> = OnceLock::new();
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiler) = COMPILER.get() {
            return Ok(compiler);
        }
        let path = COMPANION.find()?;
        let compiler = Self::load(&path, wamr).map_err(|problem| COMPANION.unusable(&path, &problem))?;
        Ok(COMPILER.get_or_init(|| compiler))
    }

    fn load(path: &Path, wamr: &str) -> Result<Self, String> {
        // SAFETY: running what the operator has named, or what lies where only an administrator writes, is what is asked for;
        // its initialisers are LLVM's.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| root_cause(&error))?;
        // Never closed: LLVM leaves things behind that point into it.
        let library = Box::leak(Box::new(library));
        let missing =
            |name: &str| format!("it has no function {name}: it is not Weir's library for WAMR's compiler");
        macro_rules! function {
            ($name:literal, $type:ty) => {
                // SAFETY: with this interface the function has this type; the interface itself has its type in every one.
                *unsafe { library.get::<$type>($name) }.map_err(|_| missing($name))?
            };
        }
        let interface = function!("weir_wamr_compiler_interface", unsafe extern "C" fn() -> u32);
        // SAFETY: as above.
        let found = unsafe { interface() };
        if found != INTERFACE {
            return Err(format!(
                "its interface is {found}, this build of Weir needs {INTERFACE}"
            ));
        }
        let version = function!(
            "weir_wamr_compiler_version",
            unsafe extern "C" fn(*mut u32, *mut u32, *mut u32)
        );
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three places to write to.
        unsafe { version(&mut major, &mut minor, &mut patch) };
        let version = format!("{major}.{minor}.{patch}");
        if version != wamr {
            return Err(format!(
                "it compiles for WAMR {version}, this build of Weir has {wamr}"
            ));
        }
        let start = function!("weir_wamr_compiler_start", unsafe extern "C" fn() -> c_int);
        // SAFETY: called once, before all else of the library.
        if unsafe { start() } == 0 {
            return Err("it does not start".to_owned());
        }
        Ok(Self {
            compile: function!(
                "weir_wamr_compile",
                unsafe extern "C" fn(
                    *mut u8,
                    u32,
                    *const c_char,
                    *const c_char,
                    *mut u32,
                    *mut c_char,
                    u32,
                ) -> *mut u8
            ),
            free: function!("weir_wamr_compiler_free", unsafe extern "C" fn(*mut u8)),
            one_at_a_time: Mutex::new(()),
        })
    }

    /// Compiles a module for this architecture.
    pub fn compile(&self, mut wasm: Vec<u8>) -> Result<Vec<u8>, CompileError> {
        let size = u32::try_from(wasm.len())
            .map_err(|_| CompileError::Invalid("the module is larger than 4 GiB".to_owned()))?;
        let name = |text: &str| CString::new(text).unwrap_or_default();
        let (arch, processor) = (name(std::env::consts::ARCH), name(PROCESSOR));
        let mut message: Message = [0; 256];
        let mut code_size = 0;
        let _one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the module may be written to; the names end with NUL; the message has room for what is said. Nobody else is
        // in the library.
        let code = unsafe {
            (self.compile)(
                wasm.as_mut_ptr(),
                size,
                arch.as_ptr(),
                processor.as_ptr(),
                &mut code_size,
                message.as_mut_ptr(),
                message.len() as u32,
            )
        };
        if code.is_null() {
            return Err(CompileError::Invalid(format!(
                "WAMR's compiler: {}",
                text(&message)
            )));
        }
        // SAFETY: so many bytes are there, until they are freed.
        let bytes = unsafe { std::slice::from_raw_parts(code, code_size as usize) }.to_vec();
        // SAFETY: made by the library, and not used any more.
        unsafe { (self.free)(code) };
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_of_ours_is_told() {
        let error = Compiler::load(Path::new("libc.so.6"), "2.4.3").err().unwrap();
        let expected =
            "it has no function weir_wamr_compiler_interface: it is not Weir's library for WAMR's compiler";
        assert_eq!(error, expected);
    }
}
