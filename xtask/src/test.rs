//! `cargo xtask test`: everything that the tests need, then all tests.

use anyhow::Result;

use crate::{guests, setup, sh};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the test runner, such as the name of a test.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the guests and the debug `weir` binary and runs all tests: with cargo-nextest where it is installed, else
/// with `cargo test`. Without arguments the examples in the documentation run too.
pub fn run(args: &Args) -> Result<()> {
    guests::build_all()?;
    // Tests of the command and of reload start the binary itself.
    sh::run(sh::cargo("build --package weir"))?;

    let mut tests = if setup::on_path("cargo-nextest") {
        sh::cargo("nextest run --workspace --no-fail-fast")
    } else {
        sh::cargo("test --workspace --all-targets --no-fail-fast")
    };
    tests.args(&args.rest);
    sh::run(tests)?;
    if args.rest.is_empty() {
        sh::run(sh::cargo("test --workspace --doc --quiet"))?;
        // What the filters decide without a proxy is tested natively.
        sh::run(guests::cargo("test --workspace --lib --quiet"))?;
    }
    Ok(())
}
