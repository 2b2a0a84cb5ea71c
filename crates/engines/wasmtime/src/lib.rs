//! Wasmtime behind the engine seam: Cranelift, pooled instances, epoch interruption.
//!
//! `unsafe` lives in three places: `link` (raw argument slots of host functions), `module` (loading machine code) and
//! `clone::memory` (mapping guests' memory).
#![deny(unsafe_code)]

mod caller;
mod clone;
mod config;
mod export;
mod instance;
mod link;
mod module;
mod trap;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use weir_engine::{Abilities, Ability, CompileError, Engine, HostFuncs, Module};

pub use config::{Interruption, Profiler, WasmtimeConfig};

use clone::ClonableModule;
use config::Engines;
use module::{Form, WasmtimeModule};

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
}

impl Engine for WasmtimeEngine {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn version(&self) -> String {
        config::VERSION.to_owned()
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
            .with(Ability::Interrupt)
            .with(Ability::Fuel)
            .with(Ability::MemoryLimit)
            .with(Ability::Precompile)
            .with(Ability::Backtrace)
            .with(Ability::Profiling)
            .with(Ability::DebugInfo)
            .with(Ability::Clone)
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let code = self.precompile(wasm)?;
        self.load_precompiled(&code, funcs)
    }

    fn code_key(&self) -> Option<String> {
        // Settings and processor, as Wasmtime compares them when it loads code.
        let mut hasher = DefaultHasher::new();
        self.engines
            .on_demand
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        Some(format!("{}, {:016x}", config::CODE_VERSION, hasher.finish()))
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        // Both engines generate the same code; the pool has no say in it.
        self.engines
            .on_demand
            .precompile_module(wasm)
            .map_err(|error| CompileError::Invalid(format!("{error:#}")))
    }

    fn load_precompiled(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WasmtimeModule::load(
            Arc::clone(&self.engines),
            bytes,
            funcs,
            Form::Original,
        )?))
    }

    fn prepare_clonable(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        clone::rewrite(wasm)
    }

    fn load_clonable(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(ClonableModule::load(
            Arc::clone(&self.engines),
            bytes,
            funcs,
        )?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::CODE_VERSION;

    #[test]
    fn code_of_another_version_is_refused() {
        let engine = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
        let mut code = engine.precompile(b"\0asm\x01\0\0\0").unwrap();
        assert!(engine.load_precompiled(&code, &[]).is_ok());
        let at = code
            .windows(CODE_VERSION.len())
            .position(|bytes| bytes == CODE_VERSION.as_bytes())
            .unwrap();
        code[at] = b'W';
        let error = engine.load_precompiled(&code, &[]).err().unwrap().to_string();
        assert!(error.contains("incompatible version 'Weir"), "{error}");
    }

    #[test]
    fn code_of_other_settings_is_refused() {
        let with_debug_info = WasmtimeConfig {
            debug_info: true,
            ..WasmtimeConfig::default()
        };
        let other = WasmtimeEngine::new(&with_debug_info).unwrap();
        let code = other.precompile(b"\0asm\x01\0\0\0").unwrap();
        let engine = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
        assert_ne!(engine.code_key(), other.code_key());
        let error = engine.load_precompiled(&code, &[]).err().unwrap();
        assert!(matches!(error, CompileError::Invalid(_)), "{error}");
    }
}
