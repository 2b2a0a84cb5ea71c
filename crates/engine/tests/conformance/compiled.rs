//! WAMR with nothing but code that was compiled ahead of time.

use std::path::Path;
use std::sync::Arc;

use weir_engine::{Abilities, Ability, CompileError, Engine, HostFuncs, Module};
use weir_engine_wamr::WamrEngine;

/// Compiles and loads, and interprets nothing.
pub struct Compiled(WamrEngine);

impl Compiled {
    pub fn new() -> Self {
        Self(WamrEngine::new().unwrap())
    }

    /// Whether what compiles is there.
    pub fn is_there() -> bool {
        Self::new().abilities().has(Ability::Precompile)
    }
}

impl Engine for Compiled {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> String {
        self.0.version()
    }

    fn library(&self) -> Option<&Path> {
        self.0.library()
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
