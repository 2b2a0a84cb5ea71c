//! WAMR behind the engine seam: a fast interpreter with a small footprint, in C, and code that LLVM has compiled for it.
//!
//! A guest is stopped from outside: the ticker's thread looks at the CPU clock of each thread that is inside a guest and
//! sets WAMR's flag for termination, which the interpreter reads at every branch and call (`watch`). Compiled code
//! reads no flag; it counts what it executes. A program of its own compiles (`compiler`), ahead of time or when a module is
//! loaded; code is loaded without it.
//!
//! Building this crate takes CMake, libclang and SIMDe (Debian: `cmake`, `libclang-dev`, `libsimde-dev`).

mod caller;
mod code;
mod compiler;
mod data;
mod instance;
mod module;
mod natives;
mod prepare;
mod runtime;
mod trap;
mod watch;

use std::path::Path;
use std::sync::Arc;

use weir_engine::{
    AheadOfTime, CodeCompiler, CompileError, Declared, Engine, HostFuncs, Module, Unavailable, Wasm,
};
use weir_engine_support::CompilerBounds;

use code::WamrCode;
use compiler::Compiler;
use module::WamrModule;
use runtime::Runtime;

/// The runtime. One value of a kind a process is enough; WAMR itself is one for the process.
pub struct WamrEngine {
    runtime: &'static Runtime,
    /// The compiler, where what has not been compiled ahead of time is compiled when it is loaded, and not interpreted.
    compiler: Option<Compiler>,
    /// Of the compiler.
    bounds: CompilerBounds,
}

impl WamrEngine {
    /// Starts the runtime that interprets: `wamr`. Its compiler, which makes code ahead of time, has these bounds.
    ///
    /// # Errors
    ///
    /// WAMR does not start, for want of memory.
    pub fn new(bounds: CompilerBounds) -> Result<Self, Unavailable> {
        Ok(Self {
            runtime: Runtime::start()?,
            compiler: None,
            bounds,
        })
    }

    /// Starts the runtime that compiles what it loads: `wamr-jit`. Its compiler has these bounds.
    ///
    /// # Errors
    ///
    /// As for [`WamrEngine::new`]; or the compiler is not there, or of no use.
    pub fn jit(bounds: CompilerBounds) -> Result<Self, Unavailable> {
        let runtime = Runtime::start()?;
        Ok(Self {
            runtime,
            compiler: Some(Compiler::find_usable(&runtime.version(), bounds)?),
            bounds,
        })
    }

    fn code(&self) -> WamrCode {
        WamrCode {
            runtime: self.runtime,
            compiles_at_load: self.compiler.is_some(),
            bounds: self.bounds,
        }
    }
}

impl Engine for WamrEngine {
    fn name(&self) -> &'static str {
        if self.compiler.is_some() {
            "wamr-jit"
        } else {
            "wamr"
        }
    }

    fn version(&self) -> String {
        self.runtime.version()
    }

    fn library(&self) -> Option<&Path> {
        self.compiler.as_ref().map(Compiler::program)
    }

    fn declared(&self) -> Declared {
        Declared {
            interrupt: true,
            memory_limit: true,
            ..Declared::default()
        }
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        match &self.compiler {
            Some(compiler) => self.code().load_code(&compiler.compile_code(wasm)?, funcs),
            None => Ok(Arc::new(WamrModule::compile(self.runtime, wasm.bytes(), funcs)?)),
        }
    }

    fn ahead_of_time(&self) -> Option<Arc<dyn AheadOfTime>> {
        Some(Arc::new(self.code()))
    }
}
