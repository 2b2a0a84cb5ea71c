//! The runtimes that this build has. The only place that names them.

use std::sync::Arc;

use anyhow::Result;
use weir_engine::Engine;
use weir_proxy::Engines;

use crate::progress::Announced;

/// One of each runtime that is built in.
pub fn built_in() -> Result<Engines> {
    let engines: Vec<Arc<dyn Engine>> = vec![
        #[cfg(feature = "wasmtime")]
        Arc::new(weir_engine_wasmtime::WasmtimeEngine::new(&Default::default())?),
        #[cfg(feature = "wasmi")]
        Arc::new(weir_engine_wasmi::WasmiEngine::new()),
    ];
    Ok(Engines::new(
        engines
            .into_iter()
            .map(|engine| Arc::new(Announced(engine)) as Arc<dyn Engine>),
    ))
}
