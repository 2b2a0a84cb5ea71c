//! Machine code that is made before a module is loaded.

use std::sync::Arc;

use crate::{CompileError, HostFuncs, Module, Unavailable, Wasm};

/// The code that a runtime loads, and the compiler that makes it. A runtime hands it out with
/// [`Engine::ahead_of_time`](crate::Engine::ahead_of_time).
pub trait AheadOfTime: Send + Sync {
    /// Name of the runtime that the code is made for, as files of code say it. Two runtimes that differ only in when they
    /// compile (`wamr`, `wamr-jit`) have the same, and take each other's code.
    fn code_engine(&self) -> &'static str;

    /// Everything that the code depends on beside the module: versions, settings, processor. Code with another key is
    /// not loaded.
    fn code_key(&self) -> String;

    /// True if [`Engine::compile`](crate::Engine::compile) makes this code, so that keeping the code saves time at the next
    /// start; false if it interprets.
    fn compiles_at_load(&self) -> bool;

    /// Loads code that a compiler with the same [`AheadOfTime::code_key`] made, and resolves its imports against `funcs`.
    ///
    /// The bytes are machine code: whoever wrote them controls this process. A backend checks that they come from
    /// the same version and settings, and can check no more; callers load only files that the operator vouches for
    /// (`allow_precompiled`), and what they compiled themselves.
    ///
    /// # Errors
    ///
    /// [`CompileError::Invalid`] if the bytes are no code of this key; [`CompileError::Imports`] as for
    /// [`Engine::compile`](crate::Engine::compile).
    fn load_code(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError>;

    /// The compiler.
    ///
    /// # Errors
    ///
    /// The compiler is a program or library apart, and it is not installed. Code can be loaded all the same.
    fn compiler(&self) -> Result<Arc<dyn CodeCompiler>, Unavailable>;
}

/// A compiler from modules to the code of one [`AheadOfTime`].
pub trait CodeCompiler: Send + Sync {
    /// Compiles a module to bytes that [`AheadOfTime::load_code`] takes. Takes seconds for large modules, minutes with LLVM.
    ///
    /// # Errors
    ///
    /// The module is invalid, or the compiler fails.
    fn compile_code(&self, wasm: &Wasm<'_>) -> Result<Vec<u8>, CompileError>;
}

impl<F> CodeCompiler for F
where
    F: Fn(&Wasm<'_>) -> Result<Vec<u8>, CompileError> + Send + Sync,
{
    fn compile_code(&self, wasm: &Wasm<'_>) -> Result<Vec<u8>, CompileError> {
        self(wasm)
    }
}
