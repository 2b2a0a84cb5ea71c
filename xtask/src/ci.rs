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

/// One check.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Check {
    /// Everything is formatted.
    Fmt,
    /// Licences, bans and sources of the dependencies.
    Deny,
    /// No warning from clippy.
    Clippy,
    /// docs/conformance.md is what the tests say.
    Conformance,
}

/// Runs the checks; the first that fails ends it.
pub fn run(args: &Args) -> Result<()> {
    let all = [Check::Fmt, Check::Deny, Check::Clippy, Check::Conformance];
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
            Check::Conformance => conformance::run(&conformance::Args { check: true })?,
        }
    }
    Ok(())
}

fn fmt() -> Result<()> {
    setup::component("rustfmt", "fmt")?;
    sh::run(sh::cargo("fmt --all --check"))?;
    sh::run(guests::cargo("fmt --all --check"))
}

fn deny() -> Result<()> {
    let deny = setup::cargo_deny()?;
    for manifest in ["Cargo.toml", guests::MANIFEST] {
        let mut check = sh::command(&deny, "--locked --manifest-path");
        check
            .arg(manifest)
            .args(["check", "--config"])
            .arg(sh::root().join("deny.toml"));
        check.args(["--hide-inclusion-graph", "licenses", "bans", "sources"]);
        sh::run(check)?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    setup::component("clippy", "clippy")?;
    setup::wasm_target()?;
    sh::run(sh::cargo(
        "clippy --workspace --all-targets --locked -- -D warnings",
    ))?;
    let mut filters = guests::cargo("clippy --workspace --lib --examples --locked --target");
    filters.args([setup::WASM_TARGET, "--", "-D", "warnings"]);
    sh::run(filters)
}
