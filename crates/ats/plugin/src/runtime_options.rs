//! The runtimes, as the plugin has them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use weir_builtin::{CodeCacheChoice, CompilerProgram, RuntimeOptions, with_code_cache};
use weir_config::{CompilerConfig, ProcessConfig, WasmtimeOptions};
use weir_plan::Runtimes;

/// `--code-cache`; fixed once the first runtime is opened.
static CODE_CACHE: OnceLock<Option<String>> = OnceLock::new();

/// `--wasmtime`; fixed once Wasmtime is opened.
static WASMTIME: OnceLock<Option<WasmtimeOptions>> = OnceLock::new();

/// The process document; fixed by the first line of `plugin.config` that loads the plugin.
static DOCUMENT: OnceLock<ProcessConfig> = OnceLock::new();

/// Keeps compiled code in this folder, or nowhere (`off`). False if the setting is no longer open.
pub(crate) fn set_code_cache(folder: String) -> bool {
    CODE_CACHE.set(Some(folder)).is_ok()
}

/// Has Wasmtime work like this. False if the setting is no longer open.
pub(crate) fn set_wasmtime(options: WasmtimeOptions) -> bool {
    WASMTIME.set(Some(options)).is_ok()
}

/// Takes the process document, before any runtime is opened.
pub(crate) fn set_document(document: ProcessConfig) {
    // Only the first line of plugin.config has one.
    let _ = DOCUMENT.set(document);
}

/// The choice of the code cache, which is fixed with the first call.
pub(crate) fn code_cache(runtime_folder: &Path) -> CodeCacheChoice {
    let flag = CODE_CACHE.get_or_init(|| None).as_deref();
    let document = DOCUMENT.get().and_then(|document| document.code_cache.as_ref());
    CodeCacheChoice::new(
        flag.map(AsRef::as_ref),
        document,
        Some(runtime_folder.join("weir")),
    )
}

/// The runtimes that are built in, with the code cache, by default in `weir` below `runtime_folder`, the server's folder
/// for files of a running server. Flags take the place of what the process document says.
pub(crate) fn built_in(runtime_folder: PathBuf) -> Runtimes {
    let choice = move || code_cache(&runtime_folder);
    let options = || {
        let flag = *WASMTIME.get_or_init(|| None);
        let document = DOCUMENT.get();
        let wasmtime = flag.or(document.map(|document| document.wasmtime));
        RuntimeOptions {
            wasmtime: wasmtime.unwrap_or_default(),
            compiler: document.map_or_else(CompilerConfig::default, |document| document.compiler),
            // The server is not a program of ours.
            program: CompilerProgram::Beside,
        }
    };
    Runtimes::from_sources(with_code_cache(weir_builtin::runtimes(options), choice))
}
