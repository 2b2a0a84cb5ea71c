//! `cargo xtask memcheck-ats`: the plugin in Traffic Server under valgrind.

use anyhow::Result;

use crate::{setup, sh, test};

/// Arguments of `cargo xtask memcheck-ats`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs some thousand transactions under memcheck; an error of the plugin, or a leak by transaction, fails it.
pub fn run(_: &Args) -> Result<()> {
    setup::debian("valgrind", "valgrind")?;
    test::prepare()?;
    setup::wamr()?;
    sh::run(sh::cargo(
        "test --workspace --test ats_memcheck -- --ignored --nocapture",
    ))
}
