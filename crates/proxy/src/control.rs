//! Bringing configurations to the workers: the first one, and each that follows.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use weir_config::ProxyConfig;
use weir_host::Shared;
use weir_plan::Refusal;

use crate::build::{Builder, Built};
use crate::error::ProxyError;
use crate::listener::Bound;
use crate::revision::Revision;
use crate::tls::ServerTls;
use crate::vm::start::{self, StartedVm};
use crate::worker::{Install, Message};

/// What is being served, and the means to change it.
pub(crate) struct Controller {
    builder: Builder,
    shared: Shared,
    workers: Vec<UnboundedSender<Message>>,
    current: Option<Current>,
}

struct Current {
    config: ProxyConfig,
    revision: Arc<Revision>,
    /// Address in the configuration, and the one that it became.
    bound: Vec<(SocketAddr, SocketAddr)>,
}

/// What filters that cannot be used mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// Serve the rest: there is nothing better to go on with.
    ServeTheRest,
    /// Keep what is being served.
    Keep,
}

/// A listener of a configuration.
struct Listening {
    configured: SocketAddr,
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

impl Controller {
    /// Serves nothing so far.
    pub fn new(builder: Builder, shared: Shared, workers: Vec<UnboundedSender<Message>>) -> Self {
        Self {
            builder,
            shared,
            workers,
            current: None,
        }
    }

    /// The addresses that are listened on, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.current
            .iter()
            .flat_map(|current| &current.bound)
            .map(|(_, address)| *address)
            .collect()
    }

    /// Makes a configuration the one that is served. Blocks until all workers serve it. An error changes nothing.
    pub fn serve(&mut self, config: ProxyConfig, on_refusal: OnRefusal) -> Result<Vec<Refusal>, ProxyError> {
        let Built { revision, refused } = self.builder.build(&config)?;
        if on_refusal == OnRefusal::Keep && !refused.is_empty() {
            return Err(ProxyError::Refused(refused));
        }
        let (listening, sockets) = self.bind(&config)?;
        let vms = self.start_vms(&revision, on_refusal)?;
        // Only now, so that no client is accepted before the VMs are up.
        let mut sockets = sockets
            .into_iter()
            .map(Bound::listen)
            .collect::<Result<Vec<_>, _>>()?;
        self.warn_of_what_stays(&config);
        let revision = Arc::new(revision);
        let mut installed = Vec::new();
        for (worker, vms) in self.workers.iter().zip(vms) {
            let (done, wait) = oneshot::channel();
            let install = Install {
                revision: Arc::clone(&revision),
                vms,
                sockets: sockets.iter_mut().filter_map(Vec::pop).collect(),
                listeners: listening
                    .iter()
                    .map(|listener| (listener.address, listener.tls.clone()))
                    .collect(),
                done,
            };
            worker
                .send(Message::Install(Box::new(install)))
                .map_err(|_| ProxyError::WorkerGone)?;
            installed.push(wait);
        }
        for wait in installed {
            wait.blocking_recv().map_err(|_| ProxyError::WorkerGone)?;
        }
        let bound = listening
            .iter()
            .map(|listener| (listener.configured, listener.address))
            .collect();
        self.current = Some(Current {
            config,
            revision,
            bound,
        });
        Ok(refused)
    }

    /// The listeners of a configuration; for those that are new, a socket for each worker.
    fn bind(&self, config: &ProxyConfig) -> Result<(Vec<Listening>, Vec<Bound>), ProxyError> {
        let mut known: Vec<_> = self
            .current
            .iter()
            .flat_map(|current| current.bound.iter().copied())
            .collect();
        let mut listening = Vec::new();
        let mut sockets = Vec::new();
        for listener in &config.listeners {
            let tls = listener
                .tls
                .as_ref()
                .map(ServerTls::load)
                .transpose()?
                .map(Arc::new);
            let configured = listener.address;
            let address = match known.iter().position(|(known, _)| *known == configured) {
                Some(place) => known.swap_remove(place).1,
                None => {
                    let new = Bound::new(configured, self.workers.len())?;
                    let address = new.address();
                    sockets.push(new);
                    address
                }
            };
            listening.push(Listening {
                configured,
                address,
                tls,
            });
        }
        Ok((listening, sockets))
    }

    /// Starts the VMs that the workers do not have yet; one list for each worker.
    fn start_vms(
        &self,
        revision: &Revision,
        on_refusal: OnRefusal,
    ) -> Result<Vec<Vec<Option<StartedVm>>>, ProxyError> {
        let is_new: Vec<bool> = revision
            .vms
            .iter()
            .map(|plan| {
                let current = self.current.iter().flat_map(|current| &current.revision.vms);
                let equal = current.clone().find(|known| known.identity == plan.identity);
                if let Some(equal) = equal {
                    // Nobody starts one of the new plan, so that nobody else would tell it.
                    plan.learn_from(equal);
                }
                equal.is_none()
            })
            .collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = self
                .workers
                .iter()
                .map(|worker| scope.spawn(|| self.start_for(worker, revision, &is_new, on_refusal)))
                .collect();
            starting
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut failure = None;
        let mut started = Vec::with_capacity(outcomes.len());
        for (vms, outcome) in outcomes {
            failure = failure.or(outcome.err());
            started.push(vms);
        }
        let Some(failure) = failure else {
            return Ok(started);
        };
        // What those that did start have begun comes to nothing.
        for (worker, vms) in self.workers.iter().zip(started) {
            for vm in vms.into_iter().flatten() {
                let _ = worker.send(Message::Gone {
                    instance: vm.instance,
                });
            }
        }
        Err(failure)
    }

    fn start_for(
        &self,
        worker: &UnboundedSender<Message>,
        revision: &Revision,
        is_new: &[bool],
        on_refusal: OnRefusal,
    ) -> (Vec<Option<StartedVm>>, Result<(), ProxyError>) {
        let mut started = Vec::with_capacity(is_new.len());
        for (plan, is_new) in revision.vms.iter().zip(is_new) {
            if !is_new {
                started.push(None);
                continue;
            }
            match start::start(plan, &self.shared, worker) {
                Ok(vm) => started.push(Some(vm)),
                // It has passed its trial, so it may yet come up: the worker goes on trying.
                Err(error) if on_refusal == OnRefusal::ServeTheRest => {
                    tracing::error!("{error}");
                    started.push(None);
                }
                Err(error) => return (started, Err(error.into())),
            }
        }
        (started, Ok(()))
    }

    /// Says what a reload cannot change.
    fn warn_of_what_stays(&self, config: &ProxyConfig) {
        let Some(current) = &self.current else {
            return;
        };
        let (old, new) = (&current.config.process, &config.process);
        let stays = [
            ("workers", current.config.workers != config.workers),
            ("access_log", current.config.access_log != config.access_log),
            (
                "limits.connections",
                current.config.limits.connections != config.limits.connections,
            ),
            ("log_level", old.log_level != new.log_level),
            ("admin", old.admin != new.admin),
            ("code_cache", old.code_cache != new.code_cache),
            ("wasmtime", old.wasmtime != new.wasmtime),
        ];
        for (key, changed) in stays {
            if changed {
                tracing::warn!(
                    key,
                    "has changed in the configuration; it takes a restart to take effect"
                );
            }
        }
    }
}
