//! The plugin that is tested.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Environment variable that names the plugin's library.
const LIBRARY: &str = "WEIR_ATS_PLUGIN";

/// The file that cargo makes of the package `weir-ats`.
const NAME: &str = "libwasm.so";

/// The plugin's library: `WEIR_ATS_PLUGIN`, or the one of the same target directory and profile as the running program,
/// or the one of the profile `dev`.
///
/// # Errors
///
/// The plugin has not been built.
pub fn plugin_library() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(LIBRARY) {
        return Ok(PathBuf::from(given));
    }
    let program = std::env::current_exe().context("the path of the running program")?;
    // A program lies in the folder of its profile, a test one further down.
    let beside = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(NAME));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target").into(),
        PathBuf::from,
    );
    let debug = target.join("debug").join(NAME);
    let found = beside.chain([debug]).find(|path| path.is_file());
    found.with_context(|| {
        format!("{NAME} is missing: run `cargo build --workspace` first, or set {LIBRARY} to where it lies")
    })
}
