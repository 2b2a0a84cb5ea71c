//! Engines that change a part of what another does.

use std::path::Path;
use std::sync::Arc;

use crate::{Abilities, CompileError, Engine, HostFuncs, Module};

/// An engine over another. What it does not change the other does, also what the seam gets one day: a method that each such
/// engine had to hand on would be forgotten in one of them.
pub trait EngineLayer: Send + Sync {
    /// The engine below.
    fn below(&self) -> &dyn Engine;

    /// As [`Engine::compile`].
    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.below().compile(wasm, funcs)
    }

    /// As [`Engine::precompile`].
    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.below().precompile(wasm)
    }
}

impl<T: EngineLayer> Engine for T {
    fn name(&self) -> &'static str {
        self.below().name()
    }

    fn version(&self) -> String {
        self.below().version()
    }

    fn library(&self) -> Option<&Path> {
        self.below().library()
    }

    fn abilities(&self) -> Abilities {
        self.below().abilities()
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        EngineLayer::compile(self, wasm, funcs)
    }

    fn code_key(&self) -> Option<String> {
        self.below().code_key()
    }

    fn code_engine(&self) -> &'static str {
        self.below().code_engine()
    }

    fn compiles_at_load(&self) -> bool {
        self.below().compiles_at_load()
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        EngineLayer::precompile(self, wasm)
    }

    fn load_precompiled(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.below().load_precompiled(bytes, funcs)
    }

    fn prepare_clonable(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.below().prepare_clonable(wasm)
    }

    fn load_clonable(&self, bytes: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.below().load_clonable(bytes, funcs)
    }
}
