//! Compiling in this process, where nothing bounds it but the size of the module.

use std::sync::Arc;

use weir_engine::{ByteSize, CompileError, Engine, EngineLayer, HostFuncs, Module, Wasm};

/// An engine whose compiler works in this process and cannot be elsewhere, such as V8's. Takes modules up to a size.
#[derive(Clone)]
pub struct InProcess {
    engine: Arc<dyn Engine>,
    most: u64,
}

impl InProcess {
    /// `engine` for modules of up to `most` bytes (`compiler.in_process`).
    pub fn new(engine: Arc<dyn Engine>, most: u64) -> Self {
        Self { engine, most }
    }
}

impl EngineLayer for InProcess {
    fn below(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        check(wasm, self.most)?;
        self.engine.compile(wasm, funcs)
    }
}

/// Checks that a module is small enough to be compiled here.
pub(crate) fn check(wasm: &Wasm<'_>, most: u64) -> Result<(), CompileError> {
    let size = wasm.bytes().len() as u64;
    if size <= most {
        return Ok(());
    }
    Err(CompileError::Compiler(format!(
        "the module has {:.1}, and modules that are compiled inside the server may have {} (`compiler.in_process`)",
        ByteSize(size),
        ByteSize(most)
    )))
}

#[cfg(test)]
mod tests {
    use weir_engine_wasmi::WasmiEngine;

    use super::*;

    #[test]
    fn modules_up_to_the_size_are_compiled() {
        let module = Wasm::from(&b"\0asm\x01\0\0\0"[..]);
        let bounded = |most| InProcess::new(Arc::new(WasmiEngine::new()), most);
        Engine::compile(&bounded(8), &module, &[]).unwrap();
        let error = Engine::compile(&bounded(7), &module, &[])
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "the module has 8 bytes, and modules that are compiled inside the server may have 7 bytes \
             (`compiler.in_process`)"
        );
    }
}
