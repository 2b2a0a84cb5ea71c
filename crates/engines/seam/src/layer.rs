//! Engines that change a part of what another does.

use std::path::Path;
use std::sync::Arc;

use crate::{
    AheadOfTime, CodeCompiler, CompileError, Declared, Engine, HostFuncs, Module, Snapshots, Unavailable,
    Wasm,
};

/// An engine over another. Everything that a layer does not name passes through, also what the seam gets one day.
pub trait EngineLayer: Clone + Send + Sync + 'static {
    /// The engine below.
    fn below(&self) -> &dyn Engine;

    /// As [`Engine::compile`].
    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.below().compile(wasm, funcs)
    }

    /// The layer's compiler over the one below, which makes the code that `code` loads.
    fn over_compiler(
        &self,
        _code: &dyn AheadOfTime,
        compiler: Arc<dyn CodeCompiler>,
    ) -> Arc<dyn CodeCompiler> {
        compiler
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

    fn declared(&self) -> Declared {
        self.below().declared()
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        EngineLayer::compile(self, wasm, funcs)
    }

    fn ahead_of_time(&self) -> Option<Arc<dyn AheadOfTime>> {
        let below = self.below().ahead_of_time()?;
        let layer = self.clone();
        Some(Arc::new(CodeLayer { layer, below }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        self.below().snapshots()
    }
}

/// The code of an engine, with the compiler of a layer over it.
struct CodeLayer<T> {
    layer: T,
    below: Arc<dyn AheadOfTime>,
}

impl<T: EngineLayer> AheadOfTime for CodeLayer<T> {
    fn code_engine(&self) -> &'static str {
        self.below.code_engine()
    }

    fn code_key(&self) -> String {
        self.below.code_key()
    }

    fn compiles_at_load(&self) -> bool {
        self.below.compiles_at_load()
    }

    fn load_code(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        self.below.load_code(code, funcs)
    }

    fn compiler(&self) -> Result<Arc<dyn CodeCompiler>, Unavailable> {
        let compiler = self.below.compiler()?;
        Ok(self.layer.over_compiler(self.below.as_ref(), compiler))
    }
}
