//! Where log lines go: standard error, as text or JSON.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use weir_abi::LogLevel;
use weir_log::{LineFormat, LogTarget, LogWriter, escape_controls};

/// How log lines are written.
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
    let directives =
        std::env::var("WEIR_LOG").unwrap_or_else(|_| format!("{},guest=trace", directive(level)));
    let filter = EnvFilter::try_new(&directives).with_context(|| {
        format!("WEIR_LOG: {directives:?} is no log filter such as `info,weir_proxy=debug`")
    })?;

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
