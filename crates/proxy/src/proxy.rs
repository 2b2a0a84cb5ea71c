//! A proxy that runs.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use weir_admin::{AdminServer, Readiness};
use weir_config::{AccessLog, ProxyConfig};
use weir_host::{ForeignFunctions, Shared};
use weir_log::LogWriter;
use weir_plan::{Cause, FileStamp, Refusal, Runtimes};
use weir_supervisor::OnFailure;

use crate::access_log::{self, Lines};
use crate::admin;
use crate::build::Builder;
use crate::config_source::{ConfigSource, StampedFiles};
use crate::connection_limit::ConnectionLimit;
use crate::control::Controller;
use crate::error::ProxyError;
use crate::worker::{self, Message, WorkerLink};

/// A proxy that runs, on threads of its own.
///
/// Dropping it ends it at once; [`Proxy::shutdown`] lets requests under way end first.
#[derive(Debug)]
pub struct Proxy {
    handle: ProxyHandle,
    threads: Vec<JoinHandle<()>>,
    admin: Option<AdminServer>,
}

/// Reaches a running proxy from elsewhere.
#[derive(Clone, Debug)]
pub struct ProxyHandle(Arc<Inner>);

struct Inner {
    source: ConfigSource,
    shared: Shared,
    access_log: Option<LogWriter>,
    readiness: Readiness,
    workers: Vec<WorkerLink>,
    connection_limit: ConnectionLimit,
    controller: Mutex<Controller>,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    addresses: Vec<SocketAddr>,
    refused: Vec<Refusal>,
    /// The files of the configuration that serves and of the one that was last tried, as they were before they were read.
    files: StampedFiles,
    watch: bool,
    drain: Duration,
    /// Why the last reload failed.
    failure: Option<String>,
}

/// Why the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReloadCause {
    /// By SIGHUP, or a call.
    Asked,
    /// The watch of the files says so.
    Watch(Cause),
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Loads the configuration, compiles the modules, tries and starts the VMs, binds the listeners. Blocks until
    /// requests are accepted.
    ///
    /// A filter that cannot be used is an error. With `start: lenient` it is logged with its module's file and the reason,
    /// and stands in [`ProxyHandle::refused`]; its requests get its fail policy, and the rest is served. What is wrong with
    /// the configuration itself, or an address that cannot be listened on, is an error in any case.
    pub fn start(source: ConfigSource, runtimes: Runtimes) -> Result<Self, ProxyError> {
        let (config, files) = source.read()?;
        let shared = Shared::new(ForeignFunctions::default());
        shared.stores().ceiling().set_limit(config.process.host_memory);
        let readiness = Readiness::default();
        // First, so that they say what goes on while VMs start.
        let admin = admin::start(config.process.admin, &shared, &readiness)?;
        let access_log =
            access_log::start(&config.access_log).map_err(|source| match &config.access_log {
                AccessLog::File(path) => ProxyError::AccessLog {
                    path: path.clone(),
                    source,
                },
                _ => source.into(),
            })?;
        // Built before any worker runs, so that most mistakes cost no thread.
        let count = config.workers.max(1);
        let connection_limit = ConnectionLimit::new(shared.meters().clone());
        connection_limit.set(config.limits.connections);
        let mut threads = Vec::with_capacity(count);
        let mut workers = Vec::with_capacity(count);
        for index in 0..count {
            let lines = Lines::new(access_log.clone());
            let worker = worker::spawn(index, shared.clone(), lines, connection_limit.clone())?;
            workers.push(worker.link);
            threads.push(worker.thread);
        }
        let builder = Builder::new(runtimes, shared.clone());
        let controller = Controller::new(builder, workers.clone());
        let inner = Inner {
            source,
            shared,
            access_log,
            readiness,
            workers,
            connection_limit,
            controller: Mutex::new(controller),
            state: Mutex::default(),
        };
        // From here on dropping ends the workers.
        let proxy = Self {
            handle: ProxyHandle(Arc::new(inner)),
            threads,
            admin,
        };
        let open = open_by_default(&config);
        let warnings: BTreeSet<String> = config
            .filters
            .values()
            .flat_map(|filter| filter.warnings())
            .collect();
        let refused = proxy.handle.serve(config, files, OnFailure::Retry)?;
        for line in open {
            tracing::info!("{line}");
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for refusal in &refused {
            tracing::error!("{refusal}");
        }
        // Before the log says so: whoever waits for that line finds the proxy ready.
        proxy.handle.0.readiness.started();
        for address in proxy.handle.addresses() {
            tracing::info!(%address, "listening");
        }
        Ok(proxy)
    }

    /// Reaches the proxy from elsewhere.
    pub fn handle(&self) -> ProxyHandle {
        self.handle.clone()
    }

    /// The addresses that are listened on, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.handle.addresses()
    }

    /// The address of the admin pages, where they are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// Filters that could not be used.
    pub fn refused(&self) -> Vec<Refusal> {
        self.handle.refused()
    }

    /// As [`ProxyHandle::reload`].
    pub fn reload(&self) -> Result<(), ProxyError> {
        self.handle.reload()
    }

    /// Accepts nothing more, lets the requests under way end, for as long as `timeouts.drain` says, and ends the VMs.
    /// Blocks.
    pub fn shutdown(mut self) {
        let drain = self.handle.state().drain;
        self.end(drain);
    }

    fn end(&mut self, drain: Duration) {
        self.handle.0.readiness.ending();
        for worker in &self.handle.0.workers {
            // A worker that is gone has ended.
            let _ = worker.mailbox.send(Message::Drain(drain));
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
        self.handle.0.connection_limit.log_last_refusals();
        if let Some(log) = &self.handle.0.access_log {
            log.finish();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end(Duration::ZERO);
        }
    }
}

impl ProxyHandle {
    /// Reads the configuration and the modules again, and serves them. Blocks until all workers do; requests under way
    /// end on what they began with. A configuration that does not work changes nothing. The file of the access log is opened
    /// again in any case, for rotation by renaming.
    pub fn reload(&self) -> Result<(), ProxyError> {
        self.reload_for(ReloadCause::Asked)
    }

    /// As [`ProxyHandle::reload`]. A retry that fails as the reload before it logs that at debug level.
    pub(crate) fn reload_for(&self, cause: ReloadCause) -> Result<(), ProxyError> {
        if cause == ReloadCause::Asked
            && let Some(log) = &self.0.access_log
        {
            log.reopen();
        }
        let outcome = self.try_reload();
        match &outcome {
            Ok(()) => {
                self.0.shared.meters().reloads.increment();
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                self.0.shared.meters().reload_failures.increment();
                let text = error.to_string();
                let before = self.state().failure.replace(text.clone());
                if cause == ReloadCause::Watch(Cause::Retry) && before.as_ref() == Some(&text) {
                    tracing::debug!(
                        "reload failed again for the same reason, keeping the running configuration"
                    );
                } else {
                    tracing::error!("reload failed, keeping the running configuration: {text}");
                }
            }
        }
        outcome
    }

    fn try_reload(&self) -> Result<(), ProxyError> {
        let before = self.state().files.again();
        match self.0.source.read() {
            Ok((config, files)) => {
                let tried = files.clone();
                self.serve(config, files, OnFailure::Keep).inspect_err(|_| {
                    // The file that has to change next may be one of either configuration.
                    self.state().files = before.and(tried);
                })?;
                Ok(())
            }
            Err(error) => {
                let tried = StampedFiles::of(error.files());
                self.state().files = before.and(tried);
                Err(error.into())
            }
        }
    }

    /// The addresses that are listened on, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.state().addresses.clone()
    }

    /// Filters that could not be used when the proxy started. A reload that works clears them.
    pub fn refused(&self) -> Vec<Refusal> {
        self.state().refused.clone()
    }

    /// The parts that the VMs share: data, queues, metrics.
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// The files to watch, as they were before they were read: none where the configuration wants that.
    pub(crate) fn watched_files(&self) -> Vec<(PathBuf, FileStamp)> {
        let state = self.state();
        if !state.watch {
            return Vec::new();
        }
        let files = state.files.clone().into_iter();
        files
            .filter(|(file, _)| !self.0.source.is_read_once(file))
            .collect()
    }

    fn serve(
        &self,
        config: ProxyConfig,
        files: StampedFiles,
        on_failure: OnFailure,
    ) -> Result<Vec<Refusal>, ProxyError> {
        let (watch, drain, connections) = (config.watch, config.timeouts.drain, config.limits.connections);
        let mut controller = self.0.controller.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = controller.serve(config, on_failure)?;
        self.0.connection_limit.set(connections);
        let addresses = controller.addresses();
        drop(controller);
        *self.state() = State {
            addresses,
            refused: refused.clone(),
            files,
            watch,
            drain,
            failure: None,
        };
        Ok(refused)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for each filter of a route whose fail policy nobody has chosen.
fn open_by_default(config: &ProxyConfig) -> BTreeSet<String> {
    let filters = config.routes.iter().flat_map(|route| &route.filters);
    filters
        .filter_map(|filter| filter.filter.open_by_default())
        .collect()
}
