//! The runtimes that a build has: the one place that names them.
//!
//! Each is opened when a configuration first asks for it. One whose library is not there says then what to install.
#![forbid(unsafe_code)]

mod code_cache;
#[cfg(feature = "v8")]
mod v8;
#[cfg(feature = "wasmtime")]
mod wasmtime;

#[cfg(feature = "v8")]
use std::sync::Arc;

#[cfg(any(feature = "wasmtime", feature = "wamr"))]
use weir_compiler::CompilerBounds;
use weir_config::{CompilerConfig, WasmtimeOptions};
use weir_plan::RuntimeSource;

pub use code_cache::{CODE_CACHE_VARIABLE, CodeCacheChoice, with_code_cache};
pub use weir_compiler::{Program as CompilerProgram, work as compiler_process};

/// The settings of the runtimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Of Wasmtime.
    pub wasmtime: WasmtimeOptions,
    /// Bounds of compiling.
    pub compiler: CompilerConfig,
    /// The program that compiles for Wasmtime.
    pub program: CompilerProgram,
}

/// All of them, none opened yet. `options` is asked for when a runtime is opened.
pub fn runtimes(options: impl Fn() -> RuntimeOptions + Clone + Send + Sync + 'static) -> Vec<RuntimeSource> {
    // Builds without any of these have no use for it.
    let _ = &options;
    #[cfg(feature = "wasmtime")]
    let wasmtime = options.clone();
    #[cfg(feature = "wamr")]
    let (wamr, jit) = (options.clone(), options.clone());
    vec![
        #[cfg(feature = "wasmtime")]
        RuntimeSource::new("wasmtime", move || {
            wasmtime::open(wasmtime())
                .map(RuntimeSource::opened)
                .map_err(|error| weir_engine::Unavailable {
                    problem: error.to_string(),
                    remedy: "choose another runtime for this machine".to_owned(),
                })
        }),
        #[cfg(feature = "wamr")]
        RuntimeSource::new("wamr", move || {
            weir_engine_wamr::WamrEngine::new(bounds(wamr().compiler)).map(RuntimeSource::opened)
        }),
        #[cfg(feature = "wamr")]
        RuntimeSource::new("wamr-jit", move || {
            weir_engine_wamr::WamrEngine::jit(bounds(jit().compiler)).map(RuntimeSource::opened)
        }),
        #[cfg(feature = "v8")]
        RuntimeSource::new("v8", move || {
            v8::check_addresses()?;
            let engine = Arc::new(weir_engine_v8::V8Engine::open()?);
            let most = options().compiler.in_process;
            Ok(RuntimeSource::opened(weir_compiler::InProcess::new(engine, most)))
        }),
        #[cfg(feature = "wasmedge")]
        RuntimeSource::new("wasmedge", || {
            weir_engine_wasmedge::WasmEdgeEngine::open().map(RuntimeSource::opened)
        }),
        #[cfg(feature = "wasmi")]
        RuntimeSource::new("wasmi", || {
            Ok(RuntimeSource::opened(weir_engine_wasmi::WasmiEngine::new()))
        }),
    ]
}

/// The bounds of one compilation.
#[cfg(any(feature = "wasmtime", feature = "wamr"))]
fn bounds(config: CompilerConfig) -> CompilerBounds {
    CompilerBounds {
        cpu_time: config.cpu_time,
        memory: config.memory,
    }
}
