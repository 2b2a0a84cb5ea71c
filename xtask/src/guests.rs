//! The example filters and the guests of the tests: built from source, in a workspace of their own.

use anyhow::Result;

use crate::{setup, sh};

/// Manifest of the filters' workspace, from the repository's root.
pub const MANIFEST: &str = "filters/Cargo.toml";

/// Builds every filter and guest in release mode: `filters/target/wasm32-wasip1/release/*.wasm`.
pub fn build() -> Result<()> {
    setup::wasm_target()?;
    let mut build = sh::cargo(&[
        "build",
        "--release",
        "--target",
        setup::WASM_TARGET,
        "--manifest-path",
        MANIFEST,
    ]);
    // The filters have their own target directory, where configurations and tests look for modules.
    build.env_remove("CARGO_TARGET_DIR");
    sh::run(build)
}
