//! `cargo xtask bench-containment`: other people's requests beside a filter that burns CPU in its ticks, and beside one that dies
//! of a request a second.

mod client;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use weir_ats_server::{AtsServer, Settings};

use crate::bench::subject::{Filter, Subject, folder, free_address};
use crate::bench_ats::Origin;
use crate::{guests, setup, sh};
use client::{Answers, Load};

/// Arguments of `cargo xtask bench-containment`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure one thing alone.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Rounds, each of which loads every subject once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load on a subject in a round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Requests a second, sent when their time has come, whether earlier ones have been answered or not.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Measure debug builds, which need less time to be made.
    #[arg(long)]
    debug: bool,
}

/// A part of the measurements.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Ticks that burn CPU (`limits.cpu`).
    Background,
    /// One poisonous request a second.
    Poison,
}

/// The load before the one that is measured.
const SETTLING: Load = Load {
    time: Duration::from_secs(8),
    rate: 10,
    poison: None,
};

/// A proxy under load; it ends with this value.
enum Proxy {
    Weir(Subject),
    Ats(Box<AtsServer>),
}

/// What the filter of a proxy does.
struct Job {
    label: String,
    /// Its document below `config:`, but for the module.
    keys: String,
    guest: &'static str,
}

impl Proxy {
    fn pid(&self) -> u32 {
        match self {
            Self::Weir(subject) => subject.target().pid,
            Self::Ats(server) => server.pid(),
        }
    }

    fn signal(&self, name: &str) -> Result<()> {
        sh::run(sh::command("kill", &format!("-{name} {}", self.pid())))
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Weir(subject) => subject.address(),
            Self::Ats(server) => server.http(),
        }
    }
}

impl Drop for Proxy {
    /// A server that stands still does not end.
    fn drop(&mut self) {
        // It has ended already, or ends with its owner.
        let _ = self.signal("CONT");
    }
}

/// Measures and prints tables in Markdown.
pub fn run(args: &Args) -> Result<()> {
    setup::ats()?;
    guests::build_bench()?;
    let builds = Builds::new(!args.debug)?;
    let wanted = |part| args.only.is_none_or(|only| only == part);
    if wanted(Part::Background) {
        print!("{}", background(&builds, args)?);
    }
    if wanted(Part::Poison) {
        print!("{}", poison(&builds, args)?);
    }
    Ok(())
}

/// The programs that are measured, and an origin.
struct Builds {
    weir: PathBuf,
    plugin: PathBuf,
    origin: Origin,
}

impl Builds {
    fn new(release: bool) -> Result<Self> {
        setup::wamr()?;
        // As the tests build it, so that nothing is built twice.
        let mut build = sh::cargo("build --workspace --lib --bins");
        if release {
            build.arg("--release");
        }
        sh::run(build)?;
        let folder = if release { "release" } else { "debug" };
        let weir = sh::target_dir().join(folder).join("weir");
        Ok(Self {
            plugin: weir.with_file_name("libwasm.so"),
            weir,
            origin: Origin::start()?,
        })
    }

    /// Starts both proxies with a filter, each with one thread. They stand still until they are loaded: burners would disturb each
    /// other.
    fn start(&self, job: Option<&Job>) -> Result<[Proxy; 2]> {
        let proxies = [self.start_weir(job)?, self.start_ats(job)?];
        for proxy in &proxies {
            proxy.signal("STOP")?;
        }
        Ok(proxies)
    }

    fn start_weir(&self, job: Option<&Job>) -> Result<Proxy> {
        let address = free_address()?;
        let config = folder()?.join(format!("weir-{}.yaml", address.port()));
        let mut text = "listeners: [127.0.0.1:0]\nworkers: 1\naccess_log: off\n".to_owned();
        if let Some(job) = job {
            text.push_str(&format!(
                "filters:\n  bench:\n    config:\n{}",
                job.document("      ")
            ));
        }
        text.push_str("routes:\n");
        let answer = "static: { body: \"Hello, World!\" }\n";
        match job {
            Some(job) if job.sees_requests() => text.push_str("  - filters: [bench]\n    "),
            Some(_) => text.push_str(&format!(
                "  - match: {{ path_prefix: /filtered }}\n    filters: [bench]\n    {answer}  - "
            )),
            None => text.push_str("  - "),
        }
        text.push_str(answer);
        std::fs::write(&config, text).with_context(|| config.display().to_string())?;
        let mut command = Command::new(&self.weir);
        command
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .args(["--listen", &address.to_string()]);
        Ok(Proxy::Weir(Subject::start(
            "Weir",
            Filter::None,
            1,
            address,
            command,
        )?))
    }

    fn start_ats(&self, job: Option<&Job>) -> Result<Proxy> {
        let mut settings = Settings::new()
            .threads(1)
            .debug_tags(None)
            .origin(self.origin.address);
        if let Some(job) = job {
            let mut text = format!("config:\n{}", job.document("  "));
            if !job.sees_requests() {
                text.push_str("  match: { path_prefix: /filtered }\n");
            }
            settings = settings
                .module("wasm.so", &self.plugin)
                .file("bench.yaml", text)
                .plugin("wasm.so bench.yaml");
        }
        Ok(Proxy::Ats(Box::new(AtsServer::start(&settings)?)))
    }
}

impl Job {
    fn sees_requests(&self) -> bool {
        self.guest == "mortal"
    }

    fn document(&self, indent: &str) -> String {
        let module = sh::root()
            .join("filters/target/wasm32-wasip1/release/examples")
            .join(self.guest)
            .with_extension("wasm");
        let lines = format!(
            "name: bench\n{}vm_config:\n  code:\n    local:\n      filename: {}\n",
            self.keys,
            module.display()
        );
        lines.lines().map(|line| format!("{indent}{line}\n")).collect()
    }
}

/// Loads proxies with and without a filter that burns CPU in its ticks, in turn.
fn background(builds: &Builds, args: &Args) -> Result<String> {
    let burning = |milliseconds: usize, bound: &str| Job {
        label: format!("{milliseconds} ms each 1 ms tick{bound}"),
        keys: format!(
            "configuration: {}\nlimits: {{ callback_deadline: 1s{} }}\n",
            "x".repeat(milliseconds),
            if bound.is_empty() { "" } else { ", cpu: 1" },
        ),
        guest: "background",
    };
    let jobs = [
        None,
        Some(burning(1, "")),
        Some(burning(10, "")),
        Some(burning(90, "")),
        Some(burning(90, ", `cpu: 1`")),
    ];
    let mut subjects = Vec::new();
    for job in &jobs {
        let label = job.as_ref().map_or("no such filter", |job| &job.label);
        for proxy in builds.start(job.as_ref())? {
            subjects.push((label, proxy, Vec::new()));
        }
    }
    let load = Load {
        time: Duration::from_secs(args.seconds),
        rate: args.rate,
        poison: None,
    };
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for (_, proxy, latencies) in &mut subjects {
            proxy.signal("CONT")?;
            // The filter uses up what it may use at once after it has stood still, or pays for a callback that was stopped.
            SETTLING.run(proxy.address())?;
            latencies.extend(load.run(proxy.address())?.latencies);
            proxy.signal("STOP")?;
        }
    }
    let mut table = "\n| proxy | filter | median, ms | against none | p99, ms | above none, ms |\n|---|---|---|---|---|---|\n".to_owned();
    for name in ["weir serve", "Traffic Server"] {
        let mut base = None;
        for (label, proxy, latencies) in &mut subjects {
            let is_weir = matches!(proxy, Proxy::Weir(_));
            if is_weir != (name == "weir serve") {
                continue;
            }
            latencies.sort_unstable();
            let (median, p99) = (percentile(latencies, 50), percentile(latencies, 99));
            let (median_of_none, p99_of_none) = *base.get_or_insert((median, p99));
            table.push_str(&format!(
                "| {name} | {label} | {median:.2} | {:.2} | {p99:.1} | {:.1} |\n",
                median / median_of_none,
                p99 - p99_of_none
            ));
        }
    }
    Ok(table)
}

/// Loads proxies whose filter dies of one request a second.
fn poison(builds: &Builds, args: &Args) -> Result<String> {
    let job = |label: &str, keys: &str| Job {
        label: label.to_owned(),
        keys: format!("fail_open: true\n{keys}"),
        guest: "mortal",
    };
    let jobs = [job("no snapshot", ""), job("snapshot", "snapshot: true\n")];
    let load = Load {
        time: Duration::from_secs(args.seconds * args.rounds as u64),
        rate: args.rate,
        poison: Some(("x-die", Duration::from_secs(1))),
    };
    let mut table = "\n| proxy | filter | poisonous | others | of these filtered | resident memory before, MiB | after |\n|---|---|---|---|---|---|---|\n".to_owned();
    for job in &jobs {
        for proxy in builds.start(Some(job))? {
            let name = match &proxy {
                Proxy::Weir(_) => "weir serve",
                Proxy::Ats(_) => "Traffic Server",
            };
            proxy.signal("CONT")?;
            let before = resident(proxy.pid())?;
            let Answers {
                latencies,
                seen,
                poisonous,
            } = load.run(proxy.address())?;
            table.push_str(&format!(
                "| {name} | {} | {poisonous} | {} | {:.2} % | {before:.1} | {:.1} |\n",
                job.label,
                latencies.len(),
                100.0 * seen as f64 / latencies.len() as f64,
                resident(proxy.pid())?
            ));
        }
    }
    Ok(table)
}

/// Milliseconds that so many of a hundred latencies, in their order, do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(index)
        .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(Path::new(&path)).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_of_many() {
        let latencies: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(
            (percentile(&latencies, 50), percentile(&latencies, 99)),
            (51.0, 100.0)
        );
        assert_eq!(percentile(&latencies[..1], 99), 1.0);
    }
}
