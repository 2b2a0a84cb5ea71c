//! The part of WasmEdge's C interface that Weir's backend uses, over wasmi: so the backend is tested where no library of
//! WasmEdge's is. It promises nothing about WasmEdge itself.
//!
//! Pointers come from the backend and are taken for what it says they are, as in any C library.
#![allow(
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks,
    reason = "the functions are those of a C interface, whose rules are WasmEdge's"
)]

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
    unsafe { (*configure.cast::<Configure>()).pages = pages };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ConfigureDelete(configure: *mut c_void) {
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
    let bytes = unsafe { std::slice::from_raw_parts(bytes.bytes, bytes.length as usize) };
    match Module::new(&ENGINE, bytes) {
        Ok(module) => {
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
    drop(unsafe { Box::from_raw(ast.cast::<Module>()) });
}
