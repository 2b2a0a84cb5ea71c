//! The part of WasmEdge's C interface that Weir's backend uses, over wasmi: so the backend is tested where no library of
//! WasmEdge's is. It promises nothing about WasmEdge itself.
//!
//! The functions keep the rules of WasmEdge's C interface, and the backend is the only caller (`weir-engine-wasmedge`):
//!
//! - A context that is passed in was made by the `...Create` function of its kind (modules by the loader or the executor,
//!   functions, memories and globals of a guest by `...Find...`) and has not been deleted. Its owner uses it on one thread
//!   at a time.
//! - A context is deleted once, and what came out of it (`...Find...`) is not used afterwards.
//! - A text, an array or a value is readable for its stated length until the call returns; a place for a result is
//!   writable.
//!
//! Each `unsafe` block names the rule that it rests on.

mod execution;
mod instances;
mod values;

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::LazyLock;

use wasmi::{Config, Engine, Module};

use values::{Bytes, Outcome, Type};

/// Bounds are what the backend sees to, so there are none here that come before.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::default();
    config
        .set_max_stack_height(512 << 20)
        .set_max_recursion_depth(1 << 24);
    Engine::new(&config)
});

/// `WasmEdge_ConfigureContext`.
struct Configure {
    pages: u64,
}

/// The version, which a test may ask to be another.
fn version() -> [u32; 3] {
    let wanted = std::env::var("WEIR_STAND_IN_VERSION").unwrap_or_default();
    let mut numbers = wanted.split('.').map(|number| number.parse().ok());
    let mut next = |default| numbers.next().flatten().unwrap_or(default);
    [next(0), next(14), next(1)]
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_VersionGetMajor() -> u32 {
    version()[0]
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_VersionGetMinor() -> u32 {
    version()[1]
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_VersionGetPatch() -> u32 {
    version()[2]
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_LogOff() {}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ResultGetMessage(outcome: Outcome) -> *const c_char {
    outcome.message().as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ValTypeGenI32() -> Type {
    Type::I32
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ValTypeGenI64() -> Type {
    Type::I64
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ConfigureCreate() -> *mut c_void {
    Box::into_raw(Box::new(Configure { pages: 65536 })).cast()
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ConfigureAddProposal(_: *mut c_void, _: c_int) {}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ConfigureSetMaxMemoryPage(configure: *mut c_void, pages: u64) {
    // SAFETY: a configuration of `WasmEdge_ConfigureCreate` that is not deleted; nobody else uses it meanwhile.
    unsafe { (*configure.cast::<Configure>()).pages = pages };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ConfigureDelete(configure: *mut c_void) {
    // SAFETY: the box of `WasmEdge_ConfigureCreate`, which is deleted once.
    drop(unsafe { Box::from_raw(configure.cast::<Configure>()) });
}

/// Loaders and validators have no state.
#[unsafe(no_mangle)]
extern "C" fn WasmEdge_LoaderCreate(_: *const c_void) -> *mut c_void {
    ptr::dangling_mut()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_LoaderParseFromBytes(
    _: *mut c_void,
    ast: *mut *mut c_void,
    bytes: Bytes,
) -> Outcome {
    // SAFETY: the caller's bytes are readable for their length until this function returns.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.bytes, bytes.length as usize) };
    match Module::new(&ENGINE, bytes) {
        Ok(module) => {
            // SAFETY: the caller's place for the module, which is writable.
            unsafe { ast.write(Box::into_raw(Box::new(module)).cast()) };
            Outcome::SUCCESS
        }
        Err(_) => Outcome::MALFORMED,
    }
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_LoaderDelete(_: *mut c_void) {}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ValidatorCreate(_: *const c_void) -> *mut c_void {
    ptr::dangling_mut()
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ValidatorValidate(_: *mut c_void, _: *const c_void) -> Outcome {
    Outcome::SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_ValidatorDelete(_: *mut c_void) {}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ASTModuleDelete(ast: *mut c_void) {
    // SAFETY: the box of `WasmEdge_LoaderParseFromBytes`, which is deleted once.
    drop(unsafe { Box::from_raw(ast.cast::<Module>()) });
}
