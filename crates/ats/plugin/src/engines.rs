//! The runtimes, as the plugin has them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use weir_engines::{CodeCacheChoice, WasmtimeOptions, with_code_cache};
use weir_plan::Engines;

/// What `plugin.config` says about where compiled code is kept.
static CODE_CACHE: OnceLock<OsString> = OnceLock::new();

/// Keeps compiled code in this folder, or nowhere (`off`). Whether it is not too late, and not said before.
pub(crate) fn set_code_cache(folder: &str) -> bool {
    CODE_CACHE.set(folder.into()).is_ok()
}

/// What `plugin.config` says about Wasmtime.
static WASMTIME: OnceLock<WasmtimeOptions> = OnceLock::new();

/// Has Wasmtime work like this. Whether it is not too late, and not said before.
pub(crate) fn set_wasmtime(options: WasmtimeOptions) -> bool {
    WASMTIME.set(options).is_ok()
}

/// The runtimes that are built in; what they compile is kept, by default in `weir` below `runtime_folder`, the server's
/// folder for what it keeps while it runs.
pub(crate) fn built_in(runtime_folder: PathBuf) -> Engines {
    let choice = move || {
        let named = CODE_CACHE.get_or_init(OsString::new);
        let named = (!named.is_empty()).then_some(named.as_os_str());
        CodeCacheChoice::new(named, Some(runtime_folder.join("weir")))
    };
    let wasmtime = || *WASMTIME.get_or_init(WasmtimeOptions::default);
    Engines::from_sources(with_code_cache(weir_engines::built_in(wasmtime), choice))
}
