//! The runtimes, as the command has them.

use std::path::PathBuf;
use std::sync::Arc;

use weir_engine::Engine;
use weir_engines::{CodeCacheChoice, WasmtimeOptions, with_code_cache};
use weir_proxy::Engines;

use crate::progress::Announced;

/// Arguments of verbs that run modules.
#[derive(Clone, Debug, clap::Args)]
pub struct EngineArgs {
    /// Keep compiled code in this folder, or nowhere (`off`); by default where WEIR_CODE_CACHE says, else in `weir` below
    /// the user's folder for caches.
    #[arg(long, value_name = "FOLDER|off")]
    code_cache: Option<PathBuf>,
    /// How Wasmtime works: `fuel` counts instructions against deadlines, not CPU time; `perf-map` or `jitdump` shows guests
    /// to perf; `debug-info` shows them to native debuggers.
    #[arg(long, value_name = "OPTION,...")]
    wasmtime: Option<WasmtimeOptions>,
}

/// The runtimes that are built in; what they compile is kept.
pub fn cached(args: &EngineArgs) -> Engines {
    let wasmtime = args.wasmtime.unwrap_or_default();
    let named = args.code_cache.clone();
    let choice = move || {
        let named = named.as_deref().map(AsRef::as_ref);
        CodeCacheChoice::new(named, CodeCacheChoice::of_user())
    };
    announced(with_code_cache(weir_engines::built_in(move || wasmtime), choice))
}

/// The runtimes that are built in.
pub fn built_in() -> Engines {
    announced(weir_engines::built_in(Default::default))
}

fn announced(sources: Vec<weir_proxy::EngineSource>) -> Engines {
    let announce = |engine| Arc::new(Announced(engine)) as Arc<dyn Engine>;
    Engines::from_sources(sources.into_iter().map(|source| source.map(announce)))
}
