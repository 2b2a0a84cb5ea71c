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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_engine::{Abilities, Ability, CompileError, Engine, HostFuncs, Module, Unavailable};

use module::WamrModule;
use runtime::Runtime;

/// The runtime. One value of a kind a process is enough; WAMR itself is one for the process.
pub struct WamrEngine {
    runtime: &'static Runtime,
    /// The compiler, where what has not been compiled ahead of time is compiled when it is loaded, and not interpreted.
    compiler: Option<PathBuf>,
}

impl WamrEngine {
    /// Starts the runtime that interprets: `wamr`.
    ///
    /// # Errors
    ///
    /// WAMR does not start, for want of memory.
    pub fn new() -> Result<Self, Unavailable> {
        Ok(Self {
            runtime: Runtime::start()?,
            compiler: None,
        })
    }

    /// Starts the runtime that compiles what it loads: `wamr-jit`.
    ///
    /// # Errors
    ///
    /// As for [`WamrEngine::new`]; or the compiler is not there, or of no use.
    pub fn jit() -> Result<Self, Unavailable> {
        let interpreter = Self::new()?;
        Ok(Self {
            compiler: Some(compiler::find_usable(&interpreter.version())?),
            ..interpreter
        })
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
        self.compiler.as_deref()
    }

    fn abilities(&self) -> Abilities {
        let always = Abilities::NONE
            .with(Ability::Interrupt)
            .with(Ability::MemoryLimit);
        if compiler::find().is_ok() {
            always.with(Ability::Precompile)
        } else {
            always
        }
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        if self.compiler.is_some() {
            return self.load_precompiled(&self.precompile(wasm)?, funcs);
        }
        Ok(Arc::new(WamrModule::compile(self.runtime, wasm, funcs)?))
    }

    fn code_key(&self) -> Option<String> {
        Some(code::key(&self.version()))
    }

    fn code_engine(&self) -> &'static str {
        "wamr"
    }

    fn compiles_at_load(&self) -> bool {
        self.compiler.is_some()
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        code::compile(&self.version(), wasm)
    }

    fn load_precompiled(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WamrModule::load_compiled(self.runtime, bytes, funcs)?))
    }
}
