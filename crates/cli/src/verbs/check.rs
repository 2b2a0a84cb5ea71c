//! `weir check`: everything that `weir serve` would do, without serving.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use weir_abi::LogLevel;
use weir_config::{Config, FilterConfig, ProcessConfig};

use super::environment;
use crate::{logging, runtime_args};

/// Arguments of `weir check`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// A configuration of `weir serve`, or a file of Traffic Server's wasm plugin (`config:` at the top).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file is a process document of that plugin: the one of `wasm.so --config=FILE`.
    #[arg(long, conflicts_with_all = ["code_cache", "wasmtime"])]
    process: bool,
    #[command(flatten)]
    runtimes: runtime_args::RuntimeArgs,
}

/// The beginning of `--help`.
pub const LONG_ABOUT: &str = "\
Checks a configuration and its modules, without serving.

The file is read, each module is compiled, and each is started and configured once in a throw-away VM, so that a filter \
which refuses its configuration is found before it matters. HTTP calls that a filter begins while it starts are not \
made.

Every problem is one line: file:line:column: key: what is wrong and what was expected.";

const EXAMPLES: &str = "\
Examples:
  weir check weir.yaml
  weir check weir.yaml && kill -HUP $(pidof weir)
  weir check /etc/trafficserver/wasm_filter.yaml
  weir check --process /etc/trafficserver/weir.yaml

Exit codes:
  0  all is well
  1  it is not; the reasons stand on standard error";

/// Checks the file and says what was found.
pub fn run(args: &Args) -> Result<()> {
    // A guest's log lines about its refused configuration are the best reason there is.
    let log = logging::start(Some(logging::LogFormat::Text), LogLevel::Warn)?;
    let file = args.file.display();
    let environment = environment();
    if args.process {
        ProcessConfig::load(&args.file, &environment)?;
        println!("{file}: all is well (process document)");
        return Ok(());
    }
    let (report, filters) = match Config::load(&args.file, &environment)? {
        Config::Proxy(proxy) => {
            let runtimes = runtime_args::cached(&args.runtimes, &proxy.process);
            say_open(
                proxy
                    .routes
                    .iter()
                    .flat_map(|route| route.filters.iter().map(|used| &*used.filter)),
            );
            (weir_proxy::check(&proxy, &runtimes), proxy.filters.len())
        }
        Config::Filter(filter) => {
            let runtimes = runtime_args::cached(&args.runtimes, &ProcessConfig::default());
            say_open(std::iter::once(&*filter));
            (weir_proxy::check_filters(&[Arc::from(filter)], &runtimes), 1)
        }
    };
    // Guests' lines come before the problems that they led to.
    drop(log);
    report.errors.iter().for_each(|error| eprintln!("{error}"));
    report.refused.iter().for_each(|refusal| eprintln!("{refusal}"));
    if !report.is_ok() {
        bail!(
            "{file}: {} of {filters} filters refused, {} other errors",
            report.refused.len(),
            report.errors.len()
        );
    }
    println!("{file}: all is well (filters: {filters})");
    Ok(())
}

/// Names the filters whose fail policy nobody has chosen, and keys without a value, on standard error.
fn say_open<'f>(filters: impl Iterator<Item = &'f FilterConfig>) {
    let lines: BTreeSet<String> = filters
        .flat_map(|filter| filter.warnings().chain(filter.open_by_default()))
        .collect();
    lines.iter().for_each(|line| eprintln!("{line}"));
}
