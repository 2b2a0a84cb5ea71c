//! Log lines: to standard error, as text or JSON.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use weir_abi::{LogLevel, log_target};
use weir_log::{LineFormat, LogTarget, LogWriter, escape_controls};

/// The format of log lines.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of JSON per event.
    Json,
    /// For reading.
    Text,
}

/// Starts logging: text on a terminal and JSON elsewhere, unless `format` says which.
///
/// `level` holds for Weir itself unless the environment variable `WEIR_LOG` says otherwise. Which lines of guests are
/// kept is decided before they get here, filter by filter.
pub fn start(format: Option<LogFormat>, level: LogLevel) -> Result<RunningLog> {
    let filter = match std::env::var_os("WEIR_LOG") {
        // An empty variable says nothing.
        Some(wanted) if !wanted.is_empty() => filter_of(&wanted.to_string_lossy())?,
        _ => EnvFilter::try_new(directives(level))?,
    };

    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        Some(LogFormat::Text) => false,
        Some(LogFormat::Json) => true,
        None => !terminal,
    };
    let format = match (json, terminal) {
        (true, _) => LineFormat::Json,
        (false, true) => LineFormat::Colours,
        (false, false) => LineFormat::Text,
    };
    let target = LogTarget::stderr();
    let log = target.and_then(|target| LogWriter::start("log", target));
    let log = log.context("cannot start the log")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Events {
            log: log.clone(),
            format,
        })
        // They would go to standard error past the log, and panic where nobody reads that.
        .log_internal_errors(false)
        .with_ansi(terminal);
    if json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.init();
    }
    Ok(RunningLog(log))
}

/// The log while it runs; dropping it waits until everything is written, for some seconds at most.
#[must_use = "dropping it ends the log"]
pub struct RunningLog(LogWriter);

impl Drop for RunningLog {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Hands events to the log, each in one call.
struct Events {
    log: LogWriter,
    format: LineFormat,
}

impl Write for &Events {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.log.push(&escape_controls(event, self.format));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Events {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// The log filter that a user has written.
///
/// A word alone that is no level would be taken for a target, of which everything is logged, and nothing of any other: a
/// misspelt level would switch the log off.
fn filter_of(wanted: &str) -> Result<EnvFilter> {
    let wrong = |why: &str| {
        format!("WEIR_LOG: {wanted:?} is no log filter such as `debug` or `info,weir_proxy=debug`: {why}")
    };
    let parts = wanted.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    for part in &parts {
        let target = match part.split_once('=') {
            None if part.parse::<LevelFilter>().is_ok() => continue,
            None if is_target(part) => continue,
            None => bail!(wrong(&format!(
                "`{part}` is no level (error, warn, info, debug, trace, off), and a target needs one: `{part}=debug`"
            ))),
            Some((target, _)) => target.split('[').next().unwrap_or_default(),
        };
        // Of the targets that begin as ours do, we know which there are.
        if target.starts_with("weir") && !is_target(target) {
            bail!(wrong(&format!("there is no target `{target}`")));
        }
    }
    EnvFilter::try_new(parts.join(",")).with_context(|| wrong("a part is malformed"))
}

/// True for the target of guests, and those of our own crates with the modules in them.
fn is_target(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or_default();
    krate == log_target::GUEST || TARGETS.contains(&krate)
}

/// The filter of a level: it keeps our own lines. Other people's crates say only what goes wrong, and guests' lines have been
/// chosen before.
fn directives(level: LogLevel) -> String {
    let level = directive(level);
    let others = if level == "error" { level } else { "warn" };
    format!("{others},weir={level},{}=trace", log_target::GUEST)
}

/// The crates that log. A target also means those that begin with it, so `weir` means all of them.
const TARGETS: &[&str] = &[
    "weir",
    "weir_abi",
    "weir_account",
    "weir_admin",
    "weir_builtin",
    "weir_chain",
    "weir_compiler",
    "weir_config",
    "weir_engine",
    "weir_engine_support",
    "weir_engine_v8",
    "weir_engine_wamr",
    "weir_engine_wasmedge",
    "weir_engine_wasmi",
    "weir_engine_wasmtime",
    "weir_host",
    "weir_http_rules",
    "weir_loader",
    "weir_log",
    "weir_meters",
    "weir_outbound",
    "weir_plan",
    "weir_proxy",
    "weir_state",
    "weir_supervisor",
];

/// A level as log filters spell it; they know nothing above an error.
fn directive(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error | LogLevel::Critical => "error",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

    use super::*;

    #[test]
    fn a_misspelt_filter_is_named() {
        for (wrong, named) in [
            ("inof", "`inof` is no level"),
            ("info,weir_proxi=debug", "no target `weir_proxi`"),
            ("info,hyper", "`hyper` is no level"),
            ("weir=inof", "malformed"),
        ] {
            let error = filter_of(wrong).unwrap_err().to_string();
            let named = error.contains(named) && error.contains(&format!("WEIR_LOG: {wrong:?}"));
            assert!(named, "{error}");
        }
        for right in [
            "debug",
            "OFF",
            "info,weir_proxy=debug",
            "warn, weir_proxy::worker=trace",
            "weir",
            "hyper=debug",
        ] {
            filter_of(right).unwrap();
        }
    }

    #[test]
    fn every_crate_of_the_workspace_is_a_target() {
        let lock = include_str!("../../../Cargo.lock");
        let names = lock.lines().filter_map(|line| line.strip_prefix("name = \""));
        let ours = names.map(|name| name.trim_end_matches('"').replace('-', "_"));
        for name in ours.filter(|name| name.starts_with("weir")) {
            let elsewhere = [
                "weir_ats",
                "weir_bench",
                "weir_embed",
                "weir_testkit",
                "weir_wasmedge_stand_in",
            ];
            let elsewhere = elsewhere.iter().any(|prefix| name.starts_with(prefix));
            assert!(elsewhere || is_target(&name), "{name}");
        }
    }

    #[test]
    fn trace_is_our_own_trace() {
        let kept = |directives: &str| {
            let filter = EnvFilter::try_new(directives).unwrap();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(io::sink)
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                [
                    tracing::enabled!(target: "weir_proxy::worker", tracing::Level::TRACE),
                    tracing::enabled!(target: "guest", tracing::Level::TRACE),
                    tracing::enabled!(target: "hyper::proto", tracing::Level::INFO),
                    tracing::enabled!(target: "hyper::proto", tracing::Level::WARN),
                    tracing::enabled!(target: "hyper::proto", tracing::Level::ERROR),
                ]
            })
        };
        assert_eq!(
            kept(&directives(LogLevel::Trace)),
            [true, true, false, true, true]
        );
        assert_eq!(
            kept(&directives(LogLevel::Info)),
            [false, true, false, true, true]
        );
        assert_eq!(
            kept(&directives(LogLevel::Error)),
            [false, true, false, false, true]
        );
    }
}
