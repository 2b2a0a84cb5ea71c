//! `cargo xtask bench-ats`: what the plugin costs in Traffic Server, next to what the server's own plugins cost for the
//! same job.

mod instructions;
mod origin;
mod rules;
mod scaling;
mod subject;

use std::path::PathBuf;

use anyhow::{Context, Result};
use weir_ats_server::AtsServer;

use crate::bench::report;
use crate::bench::wrk::{Load, Target};
use crate::{bench, guests, setup, sh};
pub(crate) use origin::Origin;
use subject::{Job, Plugin, Setup};

/// Arguments of `cargo xtask bench-ats`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure one thing alone.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Remap rules that a server has at most where rules are measured.
    #[arg(long, default_value_t = 10_000)]
    most_rules: usize,
    #[command(flatten)]
    load: Load,
}

/// A part of the measurements.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Instructions a request, counted by callgrind: exact, whatever else the machine does.
    Instructions,
    /// CPU time and throughput under load.
    Wrk,
    /// Throughput with one net thread and with two, where each request takes a computation.
    Scaling,
    /// Starts and reloads with up to 10,000 remap rules.
    Rules,
}

/// Net threads of a server, each setting measured on its own.
const THREADS: [usize; 2] = [1, 2];

/// Measures and prints tables in Markdown.
pub fn run(args: &Args) -> Result<()> {
    setup::ats()?;
    guests::build_bench()?;
    let library = library()?;
    let setup = Setup::new(library.clone())?;
    let wanted = |part| args.only.is_none_or(|only| only == part);
    if wanted(Part::Instructions) {
        setup::debian("valgrind", "valgrind")?;
        print!("{}", instructions::table(&setup)?);
    }
    if wanted(Part::Wrk) {
        setup::debian("wrk", "wrk")?;
        print!("{}", load(&setup, args.load)?);
    }
    if wanted(Part::Scaling) {
        setup::debian("wrk", "wrk")?;
        print!("{}", scaling::table(&setup, args.load)?);
    }
    if wanted(Part::Rules) {
        guests::build_filters()?;
        rules::run(&library, args.most_rules)?;
    }
    Ok(())
}

/// The plugin: one that was built elsewhere, or else this tree's.
fn library() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("WEIR_ATS_PLUGIN") {
        return Ok(given.into());
    }
    setup::wamr()?;
    sh::run(sh::cargo(
        "build --release --package weir-ats --package weir-compiler",
    ))?;
    Ok(sh::target_dir().join("release/libwasm.so"))
}

/// The folder in which profiles and scripts are left.
fn folder() -> Result<PathBuf> {
    let folder = sh::target_dir().join("bench-ats");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn load(setup: &Setup, load: Load) -> Result<String> {
    let mut servers = Vec::new();
    for threads in THREADS {
        for plugin in Plugin::ALL {
            let server = setup.start(plugin, Job::TwoHeaders, threads, &[])?;
            servers.push((label(plugin, threads), server));
        }
    }
    let targets: Vec<_> = servers
        .iter()
        .map(|(label, server)| target(label, server))
        .collect();
    let rows = bench::measure(&targets, load)?;
    setup.expect_hits()?;
    Ok(report::table("plugin", &rows))
}

fn label(plugin: Plugin, threads: usize) -> String {
    let plural = if threads == 1 { "" } else { "s" };
    format!("{}, {threads} net thread{plural}", plugin.label())
}

fn target(label: &str, server: &AtsServer) -> Target {
    Target {
        label: label.to_owned(),
        pid: server.pid(),
        url: format!("http://{}/", server.http()),
        script: None,
    }
}
