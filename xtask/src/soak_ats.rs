//! `cargo xtask soak-ats`: what takes too long for every day: a thousand reloads of Traffic Server under load, and the faults
//! over and over.

use anyhow::Result;

use crate::{sh, test};

/// Arguments of `cargo xtask soak-ats`.
#[derive(clap::Args)]
pub struct Args {
    /// Reloads of watched files; of `remap.config`, which take the server some seconds each, a fifteenth of them.
    #[arg(long, default_value_t = 1000)]
    reloads: u64,
    /// The number of times that filters, clients and origins do all that is wrong.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

/// Runs the tests of reloads and faults for longer than CI does.
pub fn run(args: &Args) -> Result<()> {
    test::prepare()?;
    let mut reloads = sh::cargo("test --workspace --test ats_reload -- --nocapture --test-threads=1");
    reloads.env("WEIR_RELOADS", args.reloads.to_string());
    sh::run(reloads)?;
    for _ in 0..args.rounds {
        sh::run(sh::cargo(
            "test --workspace --test ats_faults -- --test-threads=2",
        ))?;
    }
    Ok(())
}
