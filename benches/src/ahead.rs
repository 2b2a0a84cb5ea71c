//! An engine that runs nothing but what it has compiled ahead of time.

use std::sync::Arc;

use weir_engine::{Abilities, CompileError, Engine, HostFuncs, Module};

/// Compiles and loads, whatever else the engine could do with a module.
pub struct Ahead(pub Arc<dyn Engine>);

impl Engine for Ahead {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> String {
        self.0.version()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.load_precompiled(&self.precompile(wasm)?, funcs)
    }

    fn code_key(&self) -> Option<String> {
        self.0.code_key()
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.0.precompile(wasm)
    }

    fn load_precompiled(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.0.load_precompiled(bytes, funcs)
    }
}
