//! `cargo xtask test`: everything that the tests need, then all tests.

use anyhow::Result;

use crate::{conformance, guests, setup, sh, v8, wamr_compiler};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the test runner, such as the name of a test; without any, all tests run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// nextest runs each test in a process of its own, and each of these would look for the guests anew.
const WITHOUT_CONFORMANCE: &str = "not (package(weir-testkit) and binary(conformance))";

/// Builds the guests and runs all tests: with cargo-nextest where it is installed, else with `cargo test`.
///
/// Always the whole workspace, even for one test: the features of dependencies, and so what must be compiled, differ
/// from selection to selection.
pub fn run(args: &Args) -> Result<()> {
    prepare()?;
    let nextest = setup::on_path("cargo-nextest");
    let mut tests = if nextest {
        sh::cargo("nextest run --workspace --no-fail-fast")
    } else {
        sh::cargo("test --workspace --no-fail-fast")
    };
    if !args.rest.is_empty() {
        tests.args(&args.rest);
        return sh::run(tests);
    }
    if nextest {
        tests.args(["-E", WITHOUT_CONFORMANCE]);
    }
    sh::run(tests)?;
    if nextest {
        conformance::run_tests()?;
        // `cargo test` has run these already.
        sh::run(sh::cargo("test --workspace --doc --quiet"))?;
    }
    // Decisions that filters make without a proxy are tested natively; the guests of the tests are nothing outside of one.
    sh::run(guests::cargo(
        "test --workspace --exclude misbehave --exclude conformance --lib --quiet",
    ))
}

/// Everything that tests start: Traffic Server, the guests, the `weir` binary and the plugin.
pub fn prepare() -> Result<()> {
    setup::ats_plugins()?;
    setup::wamr()?;
    v8::library()?;
    if let Err(error) = wamr_compiler::program() {
        eprintln!("xtask: what WAMR compiles ahead of time is not tested: {error:#}");
    }
    guests::build_all()?;
    // Not without the tests: features that only they want would make cargo compile everything a second time.
    sh::run(sh::cargo("build --workspace --lib --bins --tests"))
}
