//! The runtimes that a build has: the one place that names them.
//!
//! Each is opened when a configuration first asks for it. One whose library is not there says then what to install.
#![forbid(unsafe_code)]

mod code_cache;
#[cfg(feature = "v8")]
mod v8;
#[cfg(feature = "wasmtime")]
mod wasmtime;

use weir_config::WasmtimeOptions;
use weir_plan::RuntimeSource;

pub use code_cache::{CODE_CACHE_VARIABLE, CodeCacheChoice, with_code_cache};

/// All of them, none opened yet. `wasmtime` is asked for when that one is opened.
pub fn runtimes(wasmtime: impl Fn() -> WasmtimeOptions + Send + Sync + 'static) -> Vec<RuntimeSource> {
    // A build without Wasmtime has no use for it.
    let _ = &wasmtime;
    vec![
        #[cfg(feature = "wasmtime")]
        RuntimeSource::new("wasmtime", move || {
            let engine = weir_engine_wasmtime::WasmtimeEngine::new(&wasmtime::config(wasmtime()));
            engine
                .map(RuntimeSource::opened)
                .map_err(|error| weir_engine::Unavailable {
                    problem: error.to_string(),
                    remedy: "choose another runtime for this machine".to_owned(),
                })
        }),
        #[cfg(feature = "wamr")]
        RuntimeSource::new("wamr", || {
            weir_engine_wamr::WamrEngine::new().map(RuntimeSource::opened)
        }),
        #[cfg(feature = "wamr")]
        RuntimeSource::new("wamr-jit", || {
            weir_engine_wamr::WamrEngine::jit().map(RuntimeSource::opened)
        }),
        #[cfg(feature = "v8")]
        RuntimeSource::new("v8", || {
            v8::check_addresses()?;
            weir_engine_v8::V8Engine::open().map(RuntimeSource::opened)
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
