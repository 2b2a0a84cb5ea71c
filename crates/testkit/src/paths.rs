//! Paths of programs and folders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder in which the proxies of all tests keep compiled code: they start sooner, and use one cache side by side.
pub fn code_cache() -> PathBuf {
    repository().join("target/code-cache")
}

/// The `weir` binary that stands beside the running test: `WEIR_BINARY`, or the one of the same target directory and
/// profile. Cargo does not build it for the tests of another package; `cargo xtask test` does.
///
/// # Errors
///
/// The program has not been built.
pub fn weir_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("WEIR_BINARY") {
        return Ok(PathBuf::from(given));
    }
    built("weir")
}

/// The program that compiles for Traffic Server's plugin: the one of the same target directory and profile as the running
/// test. Cargo does not build it for the tests of another package either.
///
/// # Errors
///
/// It has not been built.
pub fn compiler() -> Result<PathBuf> {
    built("weir-compiler")
}

/// A program in the folder of the running test's profile.
fn built(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("the path of the running test")?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .context("the folder of the running test")?;
    let binary = folder.join(name);
    ensure!(
        binary.is_file(),
        "{} is missing: run `cargo build --workspace --lib --bins` first",
        binary.display()
    );
    Ok(binary)
}
