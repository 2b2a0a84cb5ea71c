//! Running a case.

use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{Case, Exchange, Proxy, config, expect};
use crate::client::{Http1, Http2, Outcome};
use crate::tls::Identity;
use crate::{Ats, Authority, Guests, LogLine, Logs, Origin, PATIENCE, Record, Weir, blackhole, refused_port};

/// Name in the certificate of the proxy.
const SERVER_NAME: &str = "weir.test";

/// The stage of all cases: the guests and the upstreams.
pub struct Stage {
    guests: Guests,
    authority: Authority,
    pub(super) identity: Identity,
    pub(super) origin: Origin,
    pub(super) refused: SocketAddr,
    pub(super) blackhole: SocketAddr,
    _listener: TcpListener,
    _folder: TempDir,
}

/// A proxy that runs.
struct Running<'a> {
    plain: SocketAddr,
    tls: SocketAddr,
    logs: &'a Logs,
}

impl Stage {
    /// The stage of this process, made at first use.
    ///
    /// # Errors
    ///
    /// The guests do not build.
    pub fn shared() -> Result<&'static Self> {
        static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
        let stage = STAGE.get_or_init(|| Self::new().map_err(|error| format!("{error:#}")));
        stage.as_ref().map_err(|error| anyhow::Error::msg(error.clone()))
    }

    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path())?;
        let identity = authority.identity(SERVER_NAME)?;
        let listener = blackhole()?;
        Ok(Self {
            guests: Guests::build()?,
            identity,
            authority,
            origin: Origin::start()?,
            refused: refused_port(),
            blackhole: listener.local_addr()?,
            _listener: listener,
            _folder: folder,
        })
    }

    /// Runs a case with an engine, in a proxy of its own: a case that brings its proxy down fails alone.
    ///
    /// # Errors
    ///
    /// Something is not as the case says; the proxy's log is in the message.
    pub fn run(&self, case: &Case, proxy: Proxy, engine: &str) -> Result<()> {
        let module = self.guests.example(&case.name)?;
        match proxy {
            Proxy::Embedded => {
                let weir = Weir::start(&config::of(case, engine, &module, self))?;
                self.case(
                    case,
                    &Running {
                        plain: weir.address(),
                        tls: weir.listener(1),
                        logs: weir.logs(),
                    },
                )
            }
            Proxy::Ats => {
                let ats = Ats::start(&config::ats(case, engine, &module, self))?;
                self.case(
                    case,
                    &Running {
                        plain: ats.address(),
                        tls: ats.tls_address()?,
                        logs: ats.logs(),
                    },
                )
            }
        }
    }

    fn case(&self, case: &Case, proxy: &Running<'_>) -> Result<()> {
        let result = self.exchanges(case, proxy).and_then(|()| logs(case, proxy.logs));
        result.with_context(|| format!("the proxy's log:\n{}", proxy.logs.text()))
    }

    fn exchanges(&self, case: &Case, proxy: &Running<'_>) -> Result<()> {
        for (number, exchange) in case.exchanges.iter().enumerate() {
            if exchange.skips.is_some() {
                continue;
            }
            let first = self.origin.records().len();
            let outcome = self.send(exchange, proxy);
            let compared = outcome.and_then(|outcome| {
                exchange.expect.compare(&outcome)?;
                self.compare_upstream(case, exchange, first)
            });
            compared.with_context(|| {
                let version = if exchange.http2 { "HTTP/2" } else { "HTTP/1.1" };
                let request = &exchange.request;
                format!(
                    "request {}: {} {} {version}",
                    number + 1,
                    request.method,
                    request.path
                )
            })?;
        }
        Ok(())
    }

    fn send(&self, exchange: &Exchange, proxy: &Running<'_>) -> Result<Outcome> {
        let request = &exchange.request;
        match (exchange.http2, exchange.tls) {
            (false, false) => Http1::connect(proxy.plain)?.request(request),
            (true, false) => Http2::connect(proxy.plain)?.request(request),
            (false, true) => {
                let tls = self.authority.client(&["http/1.1"])?;
                Http1::connect_tls(proxy.tls, tls, SERVER_NAME)?.request(request)
            }
            (true, true) => {
                Http2::connect_tls(proxy.tls, self.authority.client(&["h2"])?, SERVER_NAME)?.request(request)
            }
        }
    }

    /// Compares what arrived since there were `first` records.
    fn compare_upstream(&self, case: &Case, exchange: &Exchange, first: usize) -> Result<()> {
        let wanted = &exchange.upstream;
        if wanted.none {
            let path = case.path();
            let seen: Vec<Record> = self.origin.records().split_off(first);
            let arrived = seen.iter().find(|record| record.path.starts_with(&path));
            ensure!(arrived.is_none(), "arrived upstream: {arrived:?}");
        }
        if !wanted.some() {
            return Ok(());
        }
        let request = (exchange.request.method.clone(), exchange.request.path.clone());
        let (method, path) = wanted.request.as_ref().unwrap_or(&request);
        let record = self
            .origin
            .wait_for_new(first, |record| record.method == *method && record.path == *path);
        let record = record.with_context(|| {
            format!(
                "nothing arrived upstream as {method} {path}; since: {:?}",
                self.origin.records().split_off(first)
            )
        })?;
        expect::arrived(wanted, &record)
    }
}

/// Waits for the log lines of a case and checks that there are no others that it forbids.
fn logs(case: &Case, logs: &Logs) -> Result<()> {
    let missing = |lines: &[LogLine]| {
        let mut lines = lines.iter();
        case.logs
            .iter()
            .find(|(level, text)| !lines.any(|line| line.level() == *level && holds(line, text)))
    };
    let all = logs.wait(PATIENCE, |lines| missing(lines).is_none().then_some(()));
    if all.is_none() {
        let Some((level, text)) = missing(&logs.lines()) else {
            return Ok(());
        };
        bail!("no log line `{level}: {text}`, or not in this order");
    }
    for text in &case.no_logs {
        let lines = logs.lines();
        let line = lines.iter().find(|line| holds(line, text));
        ensure!(line.is_none(), "a log line that should not be: {line:?}");
    }
    Ok(())
}

/// Returns true if a text field of a line holds a text.
fn holds(line: &LogLine, text: &str) -> bool {
    line.message().contains(text)
        || line.json.as_object().is_some_and(|fields| {
            fields
                .values()
                .any(|value| value.as_str().is_some_and(|value| value.contains(text)))
        })
}
