//! WAMR behind the engine seam: a fast interpreter with a small footprint, in C.
//!
//! A guest is stopped from outside: the ticker's thread looks at the CPU clock of each thread that is inside a guest and
//! sets WAMR's flag for termination, which the interpreter reads at every branch and call (`watch`).
//!
//! Building this crate takes CMake, libclang and SIMDe (Debian: `cmake`, `libclang-dev`, `libsimde-dev`).

mod caller;
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
        Abilities::NONE
            .with(Ability::Interrupt)
            .with(Ability::MemoryLimit)
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WamrModule::compile(self.runtime, wasm, funcs)?))
    }
}
