//! WasmEdge's C interface, as version 0.14 and later have it, from a library that is opened while the process runs.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use weir_engine::Unavailable;
use weir_engine_support::root_cause;

/// Names the library's file.
const VARIABLE: &str = "WEIR_WASMEDGE_LIB";

/// Names of the system's library, the most particular first.
const NAMES: [&str; 2] = ["libwasmedge.so.0", "libwasmedge.so"];

/// The least version: values had another layout before.
const LEAST: [u32; 3] = [0, 14, 0];

/// The number of the proposal for tail calls; that of others is not the same in all versions.
pub(crate) const TAIL_CALL: c_int = 7;

macro_rules! contexts {
    ($($name:ident)*) => {
        $(
            /// As the library has it.
            #[repr(C)]
            pub(crate) struct $name([u8; 0]);
        )*
    };
}

contexts!(Configure Loader Validator Executor Store Ast ModuleInstance Function FunctionType Memory Global Frame);

/// `WasmEdge_String`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub length: u32,
    pub bytes: *const c_char,
}

/// `WasmEdge_Bytes`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub length: u32,
    pub bytes: *const u8,
}

/// `WasmEdge_Result`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub code: u32,
}

/// `WasmEdge_ValType`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Type(pub [u8; 8]);

/// `WasmEdge_Value`: 16 bytes, of which numbers take the lower ones, and a type.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub bits: [u64; 2],
    pub ty: Type,
}

/// `WasmEdge_HostFunc_t`.
pub(crate) type HostFunction =
    unsafe extern "C" fn(*mut c_void, *const Frame, *const Value, *mut Value) -> Outcome;

/// The outcome of a success.
pub(crate) const SUCCESS: Outcome = Outcome { code: 0 };
/// `WasmEdge_Result_Fail`.
pub(crate) const FAIL: Outcome = Outcome { code: 2 };

macro_rules! functions {
    ($($name:ident: $symbol:literal $type:ty;)*) => {
        /// The functions that Weir uses, under their own names but for the prefix.
        pub(crate) struct Library {
            /// The path of the library; a name alone where the system found it.
            pub path: PathBuf,
            version: [u32; 3],
            /// Types of numbers.
            pub i32: Type,
            pub i64: Type,
            $(pub $name: $type,)*
        }

        impl Library {
            fn load(path: &Path) -> Result<Self, String> {
                // SAFETY: running what the operator has named, or the system's library, is what is asked for.
                let library = unsafe { libloading::Library::new(path) }.map_err(|error| root_cause(&error))?;
                // Never closed: VMs of the process may be in it until its end.
                let library = Box::leak(Box::new(library));
                let mut missing = Vec::new();
                let version = ["Major", "Minor", "Patch"].map(|part| {
                    let name = format!("WasmEdge_VersionGet{part}");
                    // SAFETY: the function has this type in every version.
                    match unsafe { library.get::<unsafe extern "C" fn() -> u32>(&name) } {
                        // SAFETY: the function takes nothing, and may be called at any time.
                        Ok(get) => unsafe { get() },
                        Err(_) => {
                            missing.push(name);
                            0
                        }
                    }
                });
                if !missing.is_empty() {
                    return Err(format!("it is not WasmEdge's library: it has no {}", missing.join(", ")));
                }
                check(version)?;
                $(
                    // SAFETY: with this version the function has this type.
                    let $name = unsafe { library.get::<$type>($symbol) }.map(|found| *found);
                    if $name.is_err() {
                        missing.push($symbol.to_owned());
                    }
                )*
                if !missing.is_empty() {
                    return Err(format!("functions are missing: {}", missing.join(", ")));
                }
                let lost = |_| "functions are missing".to_owned();
                $(let $name = $name.map_err(lost)?;)*
                Ok(Self {
                    path: path.to_owned(),
                    version,
                    i32: Type([0; 8]),
                    i64: Type([0; 8]),
                    $($name,)*
                })
            }
        }
    };
}

functions! {
    log_off: "WasmEdge_LogOff" unsafe extern "C" fn();
    message: "WasmEdge_ResultGetMessage" unsafe extern "C" fn(Outcome) -> *const c_char;
    type_i32: "WasmEdge_ValTypeGenI32" unsafe extern "C" fn() -> Type;
    type_i64: "WasmEdge_ValTypeGenI64" unsafe extern "C" fn() -> Type;
    configure_create: "WasmEdge_ConfigureCreate" unsafe extern "C" fn() -> *mut Configure;
    configure_add_proposal: "WasmEdge_ConfigureAddProposal" unsafe extern "C" fn(*mut Configure, c_int);
    // Sizes have 32 bits in some versions and 64 in others. Those of Weir fit into 32, and are passed in registers of 64.
    configure_set_max_memory_page: "WasmEdge_ConfigureSetMaxMemoryPage" unsafe extern "C" fn(*mut Configure, u64);
    configure_delete: "WasmEdge_ConfigureDelete" unsafe extern "C" fn(*mut Configure);
    loader_create: "WasmEdge_LoaderCreate" unsafe extern "C" fn(*const Configure) -> *mut Loader;
    loader_parse: "WasmEdge_LoaderParseFromBytes" unsafe extern "C" fn(*mut Loader, *mut *mut Ast, Bytes) -> Outcome;
    loader_delete: "WasmEdge_LoaderDelete" unsafe extern "C" fn(*mut Loader);
    validator_create: "WasmEdge_ValidatorCreate" unsafe extern "C" fn(*const Configure) -> *mut Validator;
    validator_validate: "WasmEdge_ValidatorValidate" unsafe extern "C" fn(*mut Validator, *const Ast) -> Outcome;
    validator_delete: "WasmEdge_ValidatorDelete" unsafe extern "C" fn(*mut Validator);
    ast_delete: "WasmEdge_ASTModuleDelete" unsafe extern "C" fn(*mut Ast);
    executor_create: "WasmEdge_ExecutorCreate" unsafe extern "C" fn(*const Configure, *mut c_void) -> *mut Executor;
    executor_instantiate: "WasmEdge_ExecutorInstantiate" unsafe extern "C" fn(
        *mut Executor, *mut *mut ModuleInstance, *mut Store, *const Ast) -> Outcome;
    executor_register: "WasmEdge_ExecutorRegisterImport" unsafe extern "C" fn(
        *mut Executor, *mut Store, *const ModuleInstance) -> Outcome;
    executor_invoke: "WasmEdge_ExecutorInvoke" unsafe extern "C" fn(
        *mut Executor, *const Function, *const Value, u32, *mut Value, u32) -> Outcome;
    executor_delete: "WasmEdge_ExecutorDelete" unsafe extern "C" fn(*mut Executor);
    store_create: "WasmEdge_StoreCreate" unsafe extern "C" fn() -> *mut Store;
    store_delete: "WasmEdge_StoreDelete" unsafe extern "C" fn(*mut Store);
    module_create: "WasmEdge_ModuleInstanceCreate" unsafe extern "C" fn(Text) -> *mut ModuleInstance;
    module_add_function: "WasmEdge_ModuleInstanceAddFunction" unsafe extern "C" fn(
        *mut ModuleInstance, Text, *mut Function);
    module_find_function: "WasmEdge_ModuleInstanceFindFunction" unsafe extern "C" fn(
        *const ModuleInstance, Text) -> *mut Function;
    module_find_memory: "WasmEdge_ModuleInstanceFindMemory" unsafe extern "C" fn(
        *const ModuleInstance, Text) -> *mut Memory;
    module_find_global: "WasmEdge_ModuleInstanceFindGlobal" unsafe extern "C" fn(
        *const ModuleInstance, Text) -> *mut Global;
    module_delete: "WasmEdge_ModuleInstanceDelete" unsafe extern "C" fn(*mut ModuleInstance);
    type_create: "WasmEdge_FunctionTypeCreate" unsafe extern "C" fn(
        *const Type, u32, *const Type, u32) -> *mut FunctionType;
    type_delete: "WasmEdge_FunctionTypeDelete" unsafe extern "C" fn(*mut FunctionType);
    function_create: "WasmEdge_FunctionInstanceCreate" unsafe extern "C" fn(
        *const FunctionType, HostFunction, *mut c_void, u64) -> *mut Function;
    // Sizes as above.
    memory_pointer: "WasmEdge_MemoryInstanceGetPointer" unsafe extern "C" fn(*mut Memory, u64, u64) -> *mut u8;
    memory_pages: "WasmEdge_MemoryInstanceGetPageSize" unsafe extern "C" fn(*const Memory) -> u32;
    global_get: "WasmEdge_GlobalInstanceGetValue" unsafe extern "C" fn(*const Global) -> Value;
    global_set: "WasmEdge_GlobalInstanceSetValue" unsafe extern "C" fn(*mut Global, Value);
}

/// Libraries that have been opened; they live for ever.
static OPENED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

impl Library {
    /// The library that the variable names, else the system's. What could not be opened is looked for again the next time.
    pub fn open() -> Result<&'static Self, Unavailable> {
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return Self::open_at(Path::new(&named));
        }
        let mut problems = Vec::new();
        for name in NAMES {
            match Self::opened(Path::new(name)) {
                Ok(library) => return Ok(library),
                Err(problem) => problems.push(problem),
            }
        }
        Err(unusable(problems.join("; ")))
    }

    pub fn open_at(path: &Path) -> Result<&'static Self, Unavailable> {
        Self::opened(path).map_err(|problem| unusable(format!("{}: {problem}", path.display())))
    }

    fn opened(path: &Path) -> Result<&'static Self, String> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = opened.iter().find(|library| library.path == path) {
            return Ok(library);
        }
        let mut library = Self::load(path)?;
        // SAFETY: these may be called at any time. What the library has to say it says to its caller; standard output is not
        // its place.
        unsafe {
            (library.log_off)();
            library.i32 = (library.type_i32)();
            library.i64 = (library.type_i64)();
        }
        let library: &'static Self = Box::leak(Box::new(library));
        opened.push(library);
        Ok(library)
    }

    /// The version, such as `0.14.1`.
    pub fn version_text(&self) -> String {
        shown(self.version)
    }

    /// The library's words for an outcome.
    pub fn text_of(&self, outcome: Outcome) -> String {
        // SAFETY: a static text that ends with NUL, or null.
        let text = unsafe { (self.message)(outcome) };
        if text.is_null() {
            return format!("error {:#x}", outcome.code);
        }
        // SAFETY: the text is not null, is static, and ends with NUL.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

/// A text as the library takes it, for as long as `text` lives.
pub(crate) fn text(text: &str) -> Text {
    Text {
        length: text.len() as u32,
        bytes: text.as_ptr().cast(),
    }
}

fn check(version: [u32; 3]) -> Result<(), String> {
    if version >= LEAST {
        return Ok(());
    }
    Err(format!(
        "it is WasmEdge {}, and Weir needs {} or newer",
        shown(version),
        shown(LEAST)
    ))
}

fn shown([major, minor, patch]: [u32; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

fn unusable(problem: String) -> Unavailable {
    Unavailable {
        problem,
        remedy: format!(
            "install WasmEdge {} or newer so that the system finds libwasmedge.so.0, or name its library with {VARIABLE}",
            shown(LEAST)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_as_the_interface_says() {
        assert_eq!((size_of::<Value>(), align_of::<Value>()), (32, 16));
        assert_eq!(std::mem::offset_of!(Value, ty), 16);
        assert_eq!((size_of::<Text>(), size_of::<Bytes>()), (16, 16));
        assert_eq!((size_of::<Type>(), size_of::<Outcome>()), (8, 4));
    }

    #[test]
    fn old_versions_are_refused() {
        assert!(check([0, 14, 0]).is_ok() && check([0, 17, 1]).is_ok() && check([1, 0, 0]).is_ok());
        assert_eq!(
            check([0, 13, 5]).unwrap_err(),
            "it is WasmEdge 0.13.5, and Weir needs 0.14.0 or newer"
        );
    }

    #[test]
    fn other_libraries_are_refused() {
        let error = Library::open_at(Path::new("libc.so.6"))
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "libc.so.6: it is not WasmEdge's library: it has no WasmEdge_VersionGetMajor, WasmEdge_VersionGetMinor, \
             WasmEdge_VersionGetPatch; install WasmEdge 0.14.0 or newer so that the system finds libwasmedge.so.0, or name \
             its library with WEIR_WASMEDGE_LIB"
        );
        let error = Library::open_at(Path::new("/nowhere/libwasmedge.so"))
            .err()
            .unwrap();
        let expected = "/nowhere/libwasmedge.so: cannot open shared object file";
        assert!(error.problem.contains(expected), "{error}");
    }
}
