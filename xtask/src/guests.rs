//! The example filters and the guests of the tests: built from source, in a workspace of their own.

use std::process::Command;

use anyhow::Result;

use crate::{setup, sh};

/// Manifest of the filters' workspace, from the repository's root.
pub const MANIFEST: &str = "filters/Cargo.toml";

/// Builds the example filters: `filters/target/wasm32-wasip1/release/*.wasm`.
pub fn build_filters() -> Result<()> {
    build("--workspace --lib --bins")
}

/// Builds the example filters and the guests of the conformance tests, which are examples in cargo's sense.
pub fn build_all() -> Result<()> {
    build_filters()?;
    build("--workspace --examples --quiet")
}

/// Builds the guests of `cargo xtask bench-ats`: `filters/target/wasm32-wasip1/release/examples/*.wasm`.
pub fn build_bench() -> Result<()> {
    build("--examples --quiet --package bench-guests")
}

/// Builds a guest that is a workspace of its own, with a target directory of its own.
pub fn build_alone(manifest: &str) -> Result<()> {
    setup::wasm_target()?;
    let mut build = sh::cargo("build --release --target");
    build.args([setup::WASM_TARGET, "--manifest-path", manifest]);
    build.env_remove("CARGO_TARGET_DIR");
    sh::run(build)
}

/// `cargo` for the filters' workspace. It has a target directory of its own, where configurations and tests look for
/// modules.
pub fn cargo(args: &str) -> Command {
    let (task, rest) = args.split_once(' ').unwrap_or((args, ""));
    let mut cargo = sh::cargo(task);
    cargo
        .args(["--manifest-path", MANIFEST])
        .args(rest.split_whitespace());
    cargo.env_remove("CARGO_TARGET_DIR");
    cargo
}

fn build(kinds: &str) -> Result<()> {
    setup::wasm_target()?;
    let mut build = cargo("build --release --target");
    build.arg(setup::WASM_TARGET).args(kinds.split_whitespace());
    sh::run(build)
}
