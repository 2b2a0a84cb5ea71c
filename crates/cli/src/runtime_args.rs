//! The runtimes, as the command has them.

use std::path::PathBuf;
use std::sync::Arc;

use weir_builtin::{CodeCacheChoice, with_code_cache};
use weir_config::{ProcessConfig, WasmtimeOptions};
use weir_engine::Engine;
use weir_proxy::Runtimes;

use crate::progress::Announced;

/// Arguments of verbs that run modules.
#[derive(Clone, Debug, clap::Args)]
pub struct RuntimeArgs {
    /// Keep compiled code in this folder, or nowhere (`off`). Without this: WEIR_CODE_CACHE, else the configuration's
    /// `code_cache`, else `weir` below the user's folder for caches.
    #[arg(long, value_name = "FOLDER|off")]
    code_cache: Option<PathBuf>,
    /// Options of Wasmtime: `fuel` counts instructions against deadlines, not CPU time; `perf-map` or `jitdump` shows guests
    /// to perf; `debug-info` shows them to native debuggers. Takes the place of the configuration's `wasmtime`.
    #[arg(long, value_name = "OPTION,...")]
    wasmtime: Option<WasmtimeOptions>,
}

/// The runtimes that are built in, with the code cache. Flags take the place of what the document says.
pub fn cached(args: &RuntimeArgs, process: &ProcessConfig) -> Runtimes {
    let wasmtime = args.wasmtime.unwrap_or(process.wasmtime);
    let (flag, document) = (args.code_cache.clone(), process.code_cache.clone());
    let choice = move || {
        let flag = flag.as_deref().map(AsRef::as_ref);
        CodeCacheChoice::new(flag, document.as_ref(), CodeCacheChoice::of_user())
    };
    announced(with_code_cache(weir_builtin::runtimes(move || wasmtime), choice))
}

/// The runtimes that are built in.
pub fn built_in() -> Runtimes {
    announced(weir_builtin::runtimes(Default::default))
}

fn announced(sources: Vec<weir_proxy::RuntimeSource>) -> Runtimes {
    let announce = |engine| Arc::new(Announced(engine)) as Arc<dyn Engine>;
    Runtimes::from_sources(sources.into_iter().map(|source| source.map(announce)))
}
