//! The runtimes that a build has: the one place that names them.
//!
//! Each is opened when a configuration first asks for it. One whose library is not there says then what to install.
#![forbid(unsafe_code)]

mod code_cache;
#[cfg(feature = "wasmtime")]
mod wasmtime;

use weir_config::WasmtimeOptions;
use weir_plan::EngineSource;

pub use code_cache::{CODE_CACHE_VARIABLE, CodeCacheChoice, with_code_cache};

/// All of them, none opened yet. `wasmtime` is asked for when that one is opened.
pub fn built_in(wasmtime: impl Fn() -> WasmtimeOptions + Send + Sync + 'static) -> Vec<EngineSource> {
    // A build without Wasmtime has no use for it.
    let _ = &wasmtime;
    vec![
        #[cfg(feature = "wasmtime")]
        EngineSource::new("wasmtime", move || {
            let engine = weir_engine_wasmtime::WasmtimeEngine::new(&wasmtime::config(wasmtime()));
            engine
                .map(EngineSource::opened)
                .map_err(|error| weir_engine::Unavailable {
                    problem: error.to_string(),
                    remedy: "choose another runtime for this machine".to_owned(),
                })
        }),
        #[cfg(feature = "wamr")]
        EngineSource::new("wamr", || {
            weir_engine_wamr::WamrEngine::new().map(EngineSource::opened)
        }),
        #[cfg(feature = "wamr")]
        EngineSource::new("wamr-jit", || {
            weir_engine_wamr::WamrEngine::jit().map(EngineSource::opened)
        }),
        #[cfg(feature = "v8")]
        EngineSource::new("v8", || {
            weir_engine_v8::V8Engine::open().map(EngineSource::opened)
        }),
        #[cfg(feature = "wasmedge")]
        EngineSource::new("wasmedge", || {
            weir_engine_wasmedge::WasmEdgeEngine::open().map(EngineSource::opened)
        }),
        #[cfg(feature = "wasmi")]
        EngineSource::new("wasmi", || {
            Ok(EngineSource::opened(weir_engine_wasmi::WasmiEngine::new()))
        }),
    ]
}
