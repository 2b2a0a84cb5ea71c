//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use weir_abi::LogLevel;

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
pub fn start(format: Option<LogFormat>, level: LogLevel) -> Result<()> {
    let directives =
        std::env::var("WEIR_LOG").unwrap_or_else(|_| format!("{},guest=trace", directive(level)));
    let filter = EnvFilter::try_new(&directives).with_context(|| {
        format!("WEIR_LOG: {directives:?} is no log filter such as `info,weir_proxy=debug`")
    })?;

    let terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    match format {
        Some(LogFormat::Text) => subscriber.init(),
        None if terminal => subscriber.init(),
        Some(LogFormat::Json) | None => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
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
