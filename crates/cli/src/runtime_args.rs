//! The runtimes, as the command has them.

use std::path::PathBuf;
use std::sync::Arc;

use weir_builtin::{CodeCacheChoice, CompilerProgram, RuntimeOptions, with_code_cache};
use weir_config::{CompilerConfig, ProcessConfig, WasmtimeOptions};
use weir_engine::Engine;
use weir_proxy::Runtimes;

use crate::progress::Announced;

/// The verb by which this program compiles for others of itself.
pub const COMPILER_VERB: &str = "compiler-process";

const PROGRAM: CompilerProgram = CompilerProgram::Own(COMPILER_VERB);

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
    let options = RuntimeOptions {
        wasmtime: args.wasmtime.unwrap_or(process.wasmtime),
        compiler: process.compiler,
        program: PROGRAM,
    };
    let (flag, document) = (args.code_cache.clone(), process.code_cache.clone());
    let choice = move || {
        let flag = flag.as_deref().map(AsRef::as_ref);
        CodeCacheChoice::new(flag, document.as_ref(), CodeCacheChoice::of_user())
    };
    announced(with_code_cache(weir_builtin::runtimes(move || options), choice))
}

/// The runtimes that are built in, without the code cache. Compiling has these bounds.
pub fn built_in(compiler: CompilerConfig) -> Runtimes {
    let options = RuntimeOptions {
        compiler,
        program: PROGRAM,
        ..RuntimeOptions::default()
    };
    announced(weir_builtin::runtimes(move || options))
}

fn announced(sources: Vec<weir_proxy::RuntimeSource>) -> Runtimes {
    let announce = |engine| Arc::new(Announced(engine)) as Arc<dyn Engine>;
    Runtimes::from_sources(sources.into_iter().map(|source| source.map(announce)))
}
