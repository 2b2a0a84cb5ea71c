//! WAMR behind the engine seam: a fast interpreter with a small footprint, in C.
//!
//! A guest is stopped from outside: the ticker's thread looks at the CPU clock of each thread that is inside a guest and
//! sets WAMR's flag for termination, which the interpreter reads at every branch and call (`watch`). Code that was compiled
//! ahead of time reads no flag; it counts what it executes. It is compiled by a library of its own (`compiler`),
//! and loaded without.
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

use std::sync::Arc;

use weir_engine::{Abilities, Ability, CompileError, Engine, HostFuncs, Module, Unavailable};

use module::WamrModule;
use runtime::Runtime;

/// The runtime. One value a process is enough; WAMR itself is one for the process.
pub struct WamrEngine {
    runtime: &'static Runtime,
}

impl WamrEngine {
    /// Starts the runtime.
    ///
    /// # Errors
    ///
    /// WAMR does not start, for want of memory.
    pub fn new() -> Result<Self, Unavailable> {
        Ok(Self {
            runtime: Runtime::start()?,
        })
    }
}

impl Engine for WamrEngine {
    fn name(&self) -> &'static str {
        "wamr"
    }

    fn version(&self) -> String {
        self.runtime.version()
    }

    fn abilities(&self) -> Abilities {
        let always = Abilities::NONE
            .with(Ability::Interrupt)
            .with(Ability::MemoryLimit);
        if compiler::is_there() {
            always.with(Ability::Precompile)
        } else {
            always
        }
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WamrModule::compile(self.runtime, wasm, funcs)?))
    }

    fn code_key(&self) -> Option<String> {
        Some(code::key(&self.version()))
    }

    /// The interpreter, which starts at once, is for those who have nothing compiled.
    fn compiles_at_load(&self) -> bool {
        false
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        code::compile(&self.version(), wasm)
    }

    fn load_precompiled(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WamrModule::load_compiled(self.runtime, bytes, funcs)?))
    }
}
