//! `weir serve`: HTTP through filters.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use weir_config::{ConfigError, Listener, ProcessConfig, ProxyConfig};
use weir_proxy::{ConfigSource, Proxy, Signals};

use super::environment;
use crate::logging::LogFormat;
use crate::{logging, runtime_args};

/// Arguments of `weir serve`.
#[derive(Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The configuration, YAML. A pipe is read once, at start; file names in it should be absolute.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Listen here, in plain text, and not where the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Number of worker threads, instead of the configuration's or one per core.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Format of log lines; text on a terminal, JSON elsewhere.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    #[command(flatten)]
    runtimes: runtime_args::RuntimeArgs,
}

/// The beginning of `--help`.
pub const LONG_ABOUT: &str = "\
Serves HTTP through filters.

The configuration names listeners, filters, upstreams and routes. A route gives the requests whose host and path match \
its filters, in order, and its upstream. `upstream: echo` is built in and answers with what it was sent, so that a \
filter can be tried without anything else.

Logs go to standard error, the access log, one line of JSON per request, to standard output.";

const EXAMPLES: &str = "\
A configuration:
  listeners:
    - address: 127.0.0.1:8080
  filters:
    my-filter:
      config:
        configuration: { greeting: hello }
        vm_config:
          code: { local: { filename: filter.wasm } }
  routes:
    - filters: [my-filter]
      upstream: echo

Examples:
  weir serve --config weir.yaml
  weir serve --config weir.yaml --listen 127.0.0.1:9090 --workers 1
  WEIR_LOG=debug weir serve --config weir.yaml

Signals:
  SIGHUP           reads the configuration and the modules again; so does a change of one of the files. Opens the access
                   log's file again
  SIGTERM, SIGINT  accept nothing more, let the requests under way end, then exit

A configuration that does not work is logged and the running one stays.

Exit codes:
  0  ended by a signal
  1  the configuration does not work, a filter does not start (unless `start: lenient`), or an address cannot be
     listened on";

/// Serves until a signal ends it.
pub fn run(args: &Args) -> Result<()> {
    let text = is_pipe(&args.config)
        .then(|| weir_config::read_text(&args.config))
        .transpose()?;
    // Read before logging starts, because the configuration says what is logged.
    let config = load(args, text.as_deref())?;
    let _log = logging::start(
        args.log_format,
        config.process.log_level.unwrap_or(ProcessConfig::LOG_LEVEL),
    )?;

    let signals = Signals::catch()?;
    let is_text = text.is_some();
    let again = args.clone();
    let mut source = ConfigSource::new(move || load(&again, text.as_deref()));
    if is_text {
        source = source.read_once(config.source);
    }
    let proxy = Proxy::start(source, runtime_args::cached(&args.runtimes, &config.process))?;
    Ok(proxy.run_until_signal(signals)?)
}

/// True for what gives its text only once: `/dev/stdin`, `<(generate)`.
fn is_pipe(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| !(found.is_file() || found.is_dir()))
}

/// The configuration as the command line changes it; at every reload, too. `text` is that of a pipe.
fn load(args: &Args, text: Option<&[u8]>) -> Result<ProxyConfig, ConfigError> {
    let mut config = match text {
        Some(text) => ProxyConfig::parse(text, &args.config, &environment()),
        None => ProxyConfig::load(&args.config, &environment()),
    }?;
    if let Some(address) = args.listen {
        config.listeners = vec![Listener::new(address)];
    }
    if let Some(workers) = args.workers {
        config.workers = workers.get();
    }
    Ok(config)
}
