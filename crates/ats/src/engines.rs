//! The runtimes that this build has. The only place of the plugin that names them.

use std::sync::Arc;

use weir_engine::Engine;
use weir_plan::Engines;

/// One of each runtime that is built in.
pub(crate) fn built_in() -> Result<Engines, String> {
    let engines: Vec<Arc<dyn Engine>> = vec![
        #[cfg(feature = "wasmtime")]
        Arc::new(
            weir_engine_wasmtime::WasmtimeEngine::new(&Default::default())
                .map_err(|error| error.to_string())?,
        ),
        #[cfg(feature = "wasmi")]
        Arc::new(weir_engine_wasmi::WasmiEngine::new()),
    ];
    Ok(Engines::new(engines))
}

/// Their names.
pub(crate) fn names() -> String {
    NAMES.join(", ")
}

/// Their names.
pub(crate) const NAMES: &[&str] = &[
    #[cfg(feature = "wasmtime")]
    "wasmtime",
    #[cfg(feature = "wasmi")]
    "wasmi",
];
