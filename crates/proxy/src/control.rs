//! Bringing configurations to the workers: the first one, and each that follows.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use weir_config::{ProxyConfig, Start, Ticks};
use weir_plan::Refusal;
use weir_supervisor::{Fleet, OnFailure, VmThread};

use crate::build::{Builder, Built};
use crate::error::ProxyError;
use crate::listener::{Bound, ListenerRules};
use crate::tls::ServerTls;
use crate::worker::{Install, Message, WorkerLink};

/// The configuration that is served, and the means to change it.
pub(crate) struct Controller {
    builder: Builder,
    workers: Vec<WorkerLink>,
    /// The workers, as their VMs know them.
    threads: Vec<VmThread>,
    fleet: Fleet,
    current: Option<Current>,
}

struct Current {
    config: ProxyConfig,
    /// Address in the configuration, and the one that it became.
    bound: Vec<(SocketAddr, SocketAddr)>,
}

/// A listener of a configuration.
struct Listening {
    configured: SocketAddr,
    address: SocketAddr,
    rules: ListenerRules,
}

impl Controller {
    /// Serves nothing so far.
    pub fn new(builder: Builder, workers: Vec<WorkerLink>) -> Self {
        let thread = |(index, worker): (usize, &WorkerLink)| VmThread {
            supervisor: worker.supervisor.clone(),
            index,
        };
        Self {
            builder,
            threads: workers.iter().enumerate().map(thread).collect(),
            workers,
            fleet: Fleet::default(),
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
    pub fn serve(&mut self, config: ProxyConfig, on_failure: OnFailure) -> Result<Vec<Refusal>, ProxyError> {
        let Built {
            revision,
            vms,
            refused,
        } = self.builder.build(&config)?;
        if on_failure == OnFailure::Keep && !refused.is_empty() {
            return Err(ProxyError::Refused(refused));
        }
        if config.start == Start::Strict && !refused.is_empty() {
            return Err(ProxyError::NotStarted(refused));
        }
        let (listening, sockets) = self.bind(&config)?;
        let fleet = self
            .fleet
            .next(&vms, &self.threads, Ticks::EveryVm, on_failure)
            .map_err(ProxyError::Vms)?;
        // Only now, so that no client is accepted before the VMs are up.
        let mut sockets = sockets
            .into_iter()
            .map(Bound::listen)
            .collect::<Result<Vec<_>, _>>()?;
        self.warn_of_what_stays(&config);
        let revision = Arc::new(revision);
        let mut installed = Vec::new();
        for (index, worker) in self.workers.iter().enumerate() {
            let (done, wait) = oneshot::channel();
            let slots = (0..vms.len()).filter_map(|vm| fleet.slot(vm, index).cloned());
            let install = Install {
                revision: Arc::clone(&revision),
                slots: slots.collect(),
                sockets: sockets.iter_mut().filter_map(Vec::pop).collect(),
                listeners: listening
                    .iter()
                    .map(|listener| (listener.address, listener.rules.clone()))
                    .collect(),
                done,
            };
            worker
                .mailbox
                .send(Message::Install(Box::new(install)))
                .map_err(|_| ProxyError::WorkerGone)?;
            installed.push(wait);
        }
        for wait in installed {
            wait.blocking_recv().map_err(|_| ProxyError::WorkerGone)?;
        }
        self.fleet.replace(fleet);
        let bound = listening
            .iter()
            .map(|listener| (listener.configured, listener.address))
            .collect();
        self.current = Some(Current { config, bound });
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
                Some(index) => known.swap_remove(index).1,
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
                rules: ListenerRules {
                    tls,
                    trailers: listener.trailers,
                },
            });
        }
        Ok((listening, sockets))
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
            ("log_level", old.log_level != new.log_level),
            ("host_memory", old.host_memory != new.host_memory),
            ("admin", old.admin != new.admin),
            ("code_cache", old.code_cache != new.code_cache),
            ("wasmtime", old.wasmtime != new.wasmtime),
            ("compiler", old.compiler != new.compiler),
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
