//! Tasks of developers: serve, ats, test, conformance, bench, ci. `cargo xtask help` lists them.
#![forbid(unsafe_code)]

mod ats;
mod bench;
mod bench_ats;
mod bench_containment;
mod bench_engines;
mod bench_snapshot;
mod ci;
mod conformance;
mod filters;
mod guests;
mod matrix_ats;
mod memcheck_ats;
mod serve;
mod setup;
mod sh;
mod soak_ats;
mod test;
mod v8;
mod wamr_compiler;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of Weir's developers.
///
/// Whatever a task needs and the machine lacks, it installs, or says in one line what to install.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the example filters and serve them on 127.0.0.1:8080.
    Serve(serve::Args),
    /// Build the example filters and the plugin and serve them with Traffic Server on 127.0.0.1:8081.
    Ats(ats::Args),
    /// Build what the tests need and run all of them.
    Test(test::Args),
    /// Build the filter of every language and the firewall, with toolchains from packages: filters/target/languages/*.wasm.
    Filters(filters::Args),
    /// Run the conformance tests and write their table to docs/conformance.md.
    Conformance(conformance::Args),
    /// Measure: criterion benches, then whole requests with wrk.
    Bench(bench::Args),
    /// Measure the plugin in Traffic Server: instructions a request, CPU time, threads.
    BenchAts(bench_ats::Args),
    /// Measure each runtime: in the host alone, and in both proxies. Writes docs/engines.md and its plot.
    BenchEngines(bench_engines::Args),
    /// Measure other people's requests beside filters that burn CPU in the background, or die.
    BenchContainment(bench_containment::Args),
    /// Measure the savings of snapshots.
    BenchSnapshot,
    /// A thousand reloads of Traffic Server under load, and all that can go wrong in it, ten times.
    SoakAts(soak_ats::Args),
    /// Filters beside other plugins of Traffic Server, in every order.
    MatrixAts,
    /// The plugin in Traffic Server under valgrind.
    MemcheckAts(memcheck_ats::Args),
    /// Make the library through which Weir runs V8, from Debian's libnode.
    V8,
    /// Make the library that compiles modules ahead of time for WAMR, from Debian's LLVM.
    WamrCompiler,
    /// The checks of CI besides the tests: formatting, clippy, dependencies, the conformance table.
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Serve(args) => serve::run(&args),
        Task::Ats(args) => ats::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Filters(args) => filters::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::BenchAts(args) => bench_ats::run(&args),
        Task::BenchEngines(args) => bench_engines::run(&args),
        Task::BenchContainment(args) => bench_containment::run(&args),
        Task::BenchSnapshot => bench_snapshot::run(),
        Task::SoakAts(args) => soak_ats::run(&args),
        Task::MatrixAts => matrix_ats::run(),
        Task::MemcheckAts(args) => memcheck_ats::run(&args),
        Task::V8 => v8::run(),
        Task::WamrCompiler => wamr_compiler::run(),
        Task::Ci(args) => ci::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The output of the programs that were run stands above already.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
