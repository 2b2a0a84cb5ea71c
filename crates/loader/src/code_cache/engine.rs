//! An engine that compiles nothing twice.

use std::sync::Arc;

use weir_engine::{AheadOfTime, CodeCompiler, CompileError, Engine, EngineLayer, HostFuncs, Module, Wasm};

use super::{CodeCache, CodeKey};
use crate::Code;

/// An engine whose code is kept in a [`CodeCache`]. An engine without code of its own is as it was.
#[derive(Clone)]
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

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let ahead = self.engine.ahead_of_time();
        let Some(ahead) = ahead.filter(|ahead| ahead.compiles_at_load()) else {
            return self.engine.compile(wasm, funcs);
        };
        let key = CodeKey {
            engine: ahead.code_engine(),
            target: &ahead.code_key(),
            module: wasm.digest(),
        };
        with_code(
            &self.cache,
            key,
            || ahead.compiler()?.compile_code(wasm),
            |code| ahead.load_code(code, funcs),
        )
    }

    fn over_compiler(
        &self,
        code: &dyn AheadOfTime,
        compiler: Arc<dyn CodeCompiler>,
    ) -> Arc<dyn CodeCompiler> {
        let cache = Arc::clone(&self.cache);
        let (engine, target) = (code.code_engine(), code.code_key());
        Arc::new(move |wasm: &Wasm<'_>| {
            let key = CodeKey {
                engine,
                target: &target,
                module: wasm.digest(),
            };
            with_code(
                &cache,
                key,
                || compiler.compile_code(wasm),
                |code| Ok(code.to_vec()),
            )
        })
    }
}

/// Uses the code of a key: that in the cache, or else new code, which is kept.
fn with_code<T>(
    cache: &CodeCache,
    key: CodeKey<'_>,
    make: impl FnOnce() -> Result<Vec<u8>, CompileError>,
    load: impl Fn(&[u8]) -> Result<T, CompileError>,
) -> Result<T, CompileError> {
    if let Some(loaded) = cache.find(&key, &load) {
        match loaded {
            // An import that the host lacks is lacking however the code came about.
            Err(error) if !matches!(error, CompileError::Imports(_)) => {
                tracing::warn!(
                    "the code cache has code that the runtime does not take; compiling again: {error}"
                );
            }
            loaded => return loaded,
        }
    }
    let made = make()?;
    cache.keep(&Code { key, bytes: &made });
    load(&made)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use weir_engine::ModuleDigest;
    use weir_engine_wasmi::WasmiEngine;
    use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};

    use super::*;

    /// Wasmtime, counting what it compiles.
    #[derive(Clone)]
    struct Counting(Arc<WasmtimeEngine>, Arc<AtomicUsize>);

    impl EngineLayer for Counting {
        fn below(&self) -> &dyn Engine {
            &*self.0
        }

        fn over_compiler(
            &self,
            _: &dyn AheadOfTime,
            compiler: Arc<dyn CodeCompiler>,
        ) -> Arc<dyn CodeCompiler> {
            let compiled = Arc::clone(&self.1);
            Arc::new(move |wasm: &Wasm<'_>| {
                compiled.fetch_add(1, Ordering::Relaxed);
                compiler.compile_code(wasm)
            })
        }
    }

    fn counting(folder: &Path) -> (Arc<Counting>, CachedEngine) {
        let engine = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
        let engine = Arc::new(Counting(Arc::new(engine), Arc::default()));
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
            Engine::compile(&cached, &EMPTY.into(), &[]).unwrap();
            Engine::compile(&cached, &EMPTY.into(), &[]).unwrap();
            assert_eq!(engine.1.load(Ordering::Relaxed), compiled);
        }
    }

    #[test]
    fn code_that_the_engine_does_not_take_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, cached) = counting(folder.path());
        let key = CodeKey {
            engine: "wasmtime",
            target: &engine.ahead_of_time().unwrap().code_key(),
            module: ModuleDigest::of(EMPTY),
        };
        let code = Code {
            key,
            bytes: b"no code",
        };
        cached.cache.keep(&code);
        Engine::compile(&cached, &EMPTY.into(), &[]).unwrap();
        Engine::compile(&cached, &EMPTY.into(), &[]).unwrap();
        assert_eq!(engine.1.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn missing_imports_are_named_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, cached) = counting(folder.path());
        let wasm = wat::parse_str(r#"(module (import "env" "lacking" (func)))"#).unwrap();
        for _ in 0..2 {
            let error = Engine::compile(&cached, &(&wasm).into(), &[]).err().unwrap();
            assert!(matches!(error, CompileError::Imports(_)), "{error}");
        }
        assert_eq!(engine.1.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_interpreter_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(CodeCache::open(folder.path(), 1 << 30).unwrap());
        let cached = CachedEngine::new(Arc::new(WasmiEngine::new()), cache);
        Engine::compile(&cached, &EMPTY.into(), &[]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
