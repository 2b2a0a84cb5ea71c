//! Wasmtime behind the engine seam: Cranelift, pooled instances, epoch interruption.
//!
//! `unsafe` lives in three places: `link` (raw argument slots of host functions), `module` (loading machine code) and
//! `snapshot::memory` (mapping guests' memory).
#![deny(unsafe_code)]

mod caller;
mod code;
mod config;
mod export;
mod instance;
mod link;
mod module;
mod snapshot;
mod trap;

use std::sync::Arc;

use weir_engine::{
    AheadOfTime, CodeCompiler, CompileError, Declared, Engine, HostFuncs, Module, Snapshots, Wasm,
};

pub use config::{AddressSpace, Interruption, Profiler, WasmtimeConfig};

use code::WasmtimeCode;
use config::Engines;
use snapshot::WasmtimeSnapshots;

/// The runtime. One value a process is enough.
pub struct WasmtimeEngine {
    engines: Arc<Engines>,
}

impl WasmtimeEngine {
    /// Starts the runtime. A pool that the system refuses (limited address space) is logged and done without.
    ///
    /// # Errors
    ///
    /// Settings that this processor or system does not support, in Wasmtime's words.
    pub fn new(config: &WasmtimeConfig) -> Result<Self, CompileError> {
        Ok(Self {
            engines: Arc::new(Engines::new(config)?),
        })
    }

    fn code(&self) -> WasmtimeCode {
        WasmtimeCode(Arc::clone(&self.engines))
    }
}

impl Engine for WasmtimeEngine {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn version(&self) -> String {
        config::VERSION.to_owned()
    }

    fn declared(&self) -> Declared {
        Declared {
            interrupt: true,
            fuel: true,
            memory_limit: true,
            backtrace: true,
            profiling: true,
            debug_info: true,
        }
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let code = self.code();
        code.load_code(&code.compile_code(wasm)?, funcs)
    }

    fn ahead_of_time(&self) -> Option<Arc<dyn AheadOfTime>> {
        Some(Arc::new(self.code()))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        (self.engines.settings.address_space == AddressSpace::Ample)
            .then(|| Arc::new(WasmtimeSnapshots(Arc::clone(&self.engines))) as _)
    }
}
