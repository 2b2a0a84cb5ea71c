//! `cargo xtask ci`: what CI checks besides the tests.

use anyhow::Result;

use crate::{conformance, guests, setup, sh};

/// Arguments of `cargo xtask ci`.
#[derive(clap::Args)]
pub struct Args {
    /// Only these checks, in this order; all of them if none is named.
    #[arg(value_enum)]
    checks: Vec<Check>,
}

/// Manifest of the fuzz targets' workspace, from the repository's root.
const FUZZ: &str = "fuzz/Cargo.toml";

/// One check.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Check {
    /// Everything is formatted.
    Fmt,
    /// Licences, bans and sources of the dependencies.
    Deny,
    /// No warning from clippy.
    Clippy,
    /// The fuzz targets still fit the code.
    Fuzz,
    /// docs/conformance.md is what the tests say.
    Conformance,
}

/// Runs the checks; the first that fails ends it.
pub fn run(args: &Args) -> Result<()> {
    let all = [
        Check::Fmt,
        Check::Deny,
        Check::Clippy,
        Check::Fuzz,
        Check::Conformance,
    ];
    let checks = if args.checks.is_empty() {
        &all[..]
    } else {
        &args.checks
    };
    for check in checks {
        match check {
            Check::Fmt => fmt()?,
            Check::Deny => deny()?,
            Check::Clippy => clippy()?,
            Check::Fuzz => fuzz()?,
            Check::Conformance => conformance::run(&conformance::Args { check: true })?,
        }
    }
    Ok(())
}

fn fmt() -> Result<()> {
    setup::component("rustfmt", "fmt")?;
    sh::run(sh::cargo("fmt --all --check"))?;
    sh::run(guests::cargo("fmt --all --check"))?;
    sh::run(sh::cargo(&format!("fmt --check --manifest-path {FUZZ}")))
}

fn deny() -> Result<()> {
    let deny = setup::cargo_deny()?;
    for manifest in ["Cargo.toml", guests::MANIFEST, FUZZ] {
        let mut check = sh::command(&deny, "--locked --config deny.toml --manifest-path");
        check
            .arg(manifest)
            .args("check --hide-inclusion-graph licenses bans sources".split(' '));
        sh::run(check)?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    setup::component("clippy", "clippy")?;
    setup::wasm_target()?;
    setup::wamr()?;
    sh::run(sh::cargo(
        "clippy --workspace --all-targets --locked -- -D warnings",
    ))?;
    let mut filters = guests::cargo("clippy --workspace --lib --examples --locked --target");
    filters.args([setup::WASM_TARGET, "--", "-D", "warnings"]);
    sh::run(filters)
}

fn fuzz() -> Result<()> {
    // Part of libFuzzer is compiled from C++.
    setup::debian("c++", "g++")?;
    sh::run(sh::cargo(&format!("check --locked --manifest-path {FUZZ}")))
}
