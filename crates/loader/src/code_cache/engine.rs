//! An engine that compiles nothing twice.

use std::sync::Arc;

use weir_engine::{CompileError, Engine, EngineLayer, HostFuncs, Module};

use crate::{Code, CodeCache, ModuleDigest};

/// An engine whose code is kept in a [`CodeCache`]. One that cannot compile ahead of time is as it was.
pub struct CachedEngine {
    engine: Arc<dyn Engine>,
    cache: Arc<CodeCache>,
}

impl CachedEngine {
    /// `engine` with `cache`.
    pub fn new(engine: Arc<dyn Engine>, cache: Arc<CodeCache>) -> Self {
        Self { engine, cache }
    }
}

impl EngineLayer for CachedEngine {
    fn below(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let load = |bytes: &[u8]| self.engine.load_precompiled(bytes, funcs);
        match self.engine.code_key().filter(|_| self.engine.compiles_at_load()) {
            Some(key) => self.with_code(&key, wasm, load),
            None => self.engine.compile(wasm, funcs),
        }
    }

    fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        match self.engine.code_key() {
            Some(key) => self.with_code(&key, wasm, |bytes| Ok(bytes.to_vec())),
            None => self.engine.precompile(wasm),
        }
    }
}

impl CachedEngine {
    /// Does with a module's code what is to be done: with that in the cache, or else with new code, which is kept.
    fn with_code<T>(
        &self,
        key: &str,
        wasm: &[u8],
        load: impl Fn(&[u8]) -> Result<T, CompileError>,
    ) -> Result<T, CompileError> {
        let mut code = Code {
            engine: self.engine.code_engine(),
            key,
            module: ModuleDigest::of(wasm),
            bytes: &[],
        };
        if let Some(loaded) = self.cache.find(&code, &load) {
            match loaded {
                // What the host lacks, it lacks however the code came about.
                Err(error) if !matches!(error, CompileError::Imports(_)) => {
                    tracing::warn!(
                        "the code cache has code that the runtime does not take; compiling again: {error}"
                    );
                }
                loaded => return loaded,
            }
        }
        let made = self.engine.precompile(wasm)?;
        code.bytes = &made;
        self.cache.keep(&code);
        load(&made)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use weir_engine_wasmi::WasmiEngine;
    use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};

    use super::*;

    /// Wasmtime, counting what it compiles.
    struct Counting(WasmtimeEngine, AtomicUsize);

    impl EngineLayer for Counting {
        fn below(&self) -> &dyn Engine {
            &self.0
        }

        fn precompile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.precompile(wasm)
        }
    }

    fn counting(folder: &Path) -> (Arc<Counting>, CachedEngine) {
        let engine = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
        let engine = Arc::new(Counting(engine, AtomicUsize::new(0)));
        let cache = Arc::new(CodeCache::open(folder, 1 << 30).unwrap());
        let cached = CachedEngine::new(Arc::clone(&engine) as Arc<dyn Engine>, cache);
        (engine, cached)
    }

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn a_module_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        for compiled in [1, 0] {
            let (engine, cached) = counting(folder.path());
            Engine::compile(&cached, EMPTY, &[]).unwrap();
            Engine::compile(&cached, EMPTY, &[]).unwrap();
            assert_eq!(engine.1.load(Ordering::Relaxed), compiled);
        }
    }

    #[test]
    fn code_that_the_engine_does_not_take_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, cached) = counting(folder.path());
        let key = engine.code_key().unwrap();
        let code = Code {
            engine: "wasmtime",
            key: &key,
            module: ModuleDigest::of(EMPTY),
            bytes: b"no code",
        };
        cached.cache.keep(&code);
        Engine::compile(&cached, EMPTY, &[]).unwrap();
        Engine::compile(&cached, EMPTY, &[]).unwrap();
        assert_eq!(engine.1.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_the_host_lacks_is_said_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, cached) = counting(folder.path());
        let wasm = wat::parse_str(r#"(module (import "env" "lacking" (func)))"#).unwrap();
        for _ in 0..2 {
            let error = Engine::compile(&cached, &wasm, &[]).err().unwrap();
            assert!(matches!(error, CompileError::Imports(_)), "{error}");
        }
        assert_eq!(engine.1.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_interpreter_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(CodeCache::open(folder.path(), 1 << 30).unwrap());
        let cached = CachedEngine::new(Arc::new(WasmiEngine::new()), cache);
        Engine::compile(&cached, EMPTY, &[]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
