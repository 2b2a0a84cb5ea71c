//! The runtimes, as the command has them.

use std::path::PathBuf;
use std::sync::Arc;

use weir_engine::Engine;
use weir_engines::{CodeCacheChoice, with_cache};
use weir_proxy::Engines;

use crate::progress::Announced;

/// Arguments of verbs that compile modules.
#[derive(Clone, Debug, clap::Args)]
pub struct CodeCacheArgs {
    /// Keep compiled code in this folder, or nowhere (`off`); by default where WEIR_CODE_CACHE says, else in `weir` below
    /// the user's folder for caches.
    #[arg(long, value_name = "FOLDER|off")]
    code_cache: Option<PathBuf>,
}

/// The runtimes that are built in; what they compile is kept.
pub fn cached(args: &CodeCacheArgs) -> Engines {
    let named = args.code_cache.clone();
    let choice = move || {
        let named = named.as_deref().map(AsRef::as_ref);
        CodeCacheChoice::new(named, CodeCacheChoice::of_user())
    };
    announced(with_cache(weir_engines::built_in(), choice))
}

/// The runtimes that are built in.
pub fn built_in() -> Engines {
    announced(weir_engines::built_in())
}

fn announced(sources: Vec<weir_proxy::EngineSource>) -> Engines {
    let announce = |engine| Arc::new(Announced(engine)) as Arc<dyn Engine>;
    Engines::from_sources(sources.into_iter().map(|source| source.map(announce)))
}
