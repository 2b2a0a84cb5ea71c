//! `cargo xtask conformance`: the table of what was tested, made by the tests themselves.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{sh, test};

/// The table, from the repository's root.
const TABLE: &str = "docs/conformance.md";

/// Arguments of `cargo xtask conformance`.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail if the table is not up to date.
    #[arg(long)]
    pub check: bool,
}

/// Runs the conformance tests, prints their table and keeps it.
pub fn run(args: &Args) -> Result<()> {
    test::prepare()?;
    let made = run_tests()?;

    let new = std::fs::read_to_string(&made).with_context(|| format!("cannot read {}", made.display()))?;
    println!("{new}");
    let table = sh::root().join(TABLE);
    let old = std::fs::read_to_string(&table).unwrap_or_default();
    if new == old {
        return Ok(());
    }
    if args.check {
        bail!("{TABLE} is not what the tests say: run `cargo xtask conformance` and commit it");
    }
    std::fs::write(&table, new).with_context(|| format!("cannot write {TABLE}"))
}

/// Runs the conformance tests, of the engines and of the host, and returns where their table lies.
pub fn run_tests() -> Result<PathBuf> {
    let made = sh::target_dir().join("conformance.md");
    // A table of an earlier run must not stand for this one.
    match std::fs::remove_file(&made) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", made.display()));
        }
        _ => {}
    }
    let mut tests = sh::cargo("test --workspace --test conformance");
    tests.env("WEIR_CONFORMANCE_TABLE", &made);
    sh::run(tests)?;
    Ok(made)
}
