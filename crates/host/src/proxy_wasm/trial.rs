//! VMs that serve no stream: one in which a configuration is tried before it replaces one that works, and one that is frozen
//! for a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_abi::{LogLevel, Status};

use super::Vm;
use crate::{
    CallTicket, ContextId, GrpcCall, HttpCall, Later, PluginSpec, QueueWaker, Services, Shared, StartError,
    VmSpec,
};

/// The proxy, as far as a VM reaches it that serves no stream. Calls of such a VM are accepted and forgotten.
pub trait TrialServices: Send + Sync {
    /// Returns true if the guest may call the upstream of this name. A call to another is answered with `BadArgument`, as
    /// in a VM that serves.
    fn knows(&self, upstream: &[u8]) -> bool;

    /// The lowest level that the log keeps; see [`Services::log_level`].
    fn log_level(&self) -> LogLevel;

    /// Returns true if the log keeps the line; see [`Services::keeps`].
    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool;

    /// Writes a line of the guest to the log; see [`Services::log`].
    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]);

    /// Writes a line about the guest to the log; see [`Services::log_about`].
    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str);
}

/// The plugins that a trial has found wrong, by their indexes.
#[derive(Debug)]
pub struct TrialRefusal {
    /// Plugins whose `proxy_on_configure` answered false. The plugins after them were tried nevertheless.
    pub refused: Vec<(usize, StartError)>,
    /// The end of the VM, and the plugin that was being added; `None` where the VM itself did not start. The plugins after
    /// that one were not tried.
    pub ended: Option<(Option<usize>, StartError)>,
}

impl TrialRefusal {
    /// Returns the first error.
    pub fn into_first(self) -> Option<StartError> {
        let mut refused = self.refused.into_iter();
        let refused = refused.next().map(|(_, error)| error);
        refused.or(self.ended.map(|(_, error)| error))
    }
}

impl Vm {
    /// Starts a VM with all its plugins and drops it. The VM sees shared data, queues and metrics through an overlay
    /// ([`Shared::overlay`]) and nobody else sees its changes.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`] and [`Vm::add_plugin`], for each plugin that answers false.
    pub fn try_out(
        spec: &Arc<VmSpec>,
        plugins: &[Arc<PluginSpec>],
        shared: &Shared,
        services: Arc<dyn TrialServices>,
    ) -> Result<(), Box<TrialRefusal>> {
        let mut refusal = TrialRefusal {
            refused: Vec::new(),
            ended: None,
        };
        let vm = Self::start(
            Arc::clone(spec),
            &shared.overlay(),
            Box::new(Forgetful::new(services)),
            Arc::new(NoWaker),
        );
        let mut vm = match vm {
            Ok(vm) => vm,
            Err(error) => {
                refusal.ended = Some((None, error));
                return Err(Box::new(refusal));
            }
        };
        vm.on_trial = true;
        for (index, plugin) in plugins.iter().enumerate() {
            match vm.add_plugin(Arc::clone(plugin)) {
                Ok(_) => {}
                Err(error @ StartError::Refused { plugin: Some(_), .. }) => {
                    refusal.refused.push((index, error))
                }
                Err(error) => {
                    refusal.ended = Some((Some(index), error));
                    break;
                }
            }
        }
        match refusal.refused.is_empty() && refusal.ended.is_none() {
            true => Ok(()),
            false => Err(Box::new(refusal)),
        }
    }
}

/// Services of a VM that serves no stream: calls begin and never end.
pub(super) struct Forgetful {
    services: Arc<dyn TrialServices>,
    /// True once the guest waits for a result of which the host keeps no note.
    waits: Arc<AtomicBool>,
    calls: Vec<CallTicket>,
}

impl Forgetful {
    pub fn new(services: Arc<dyn TrialServices>) -> Self {
        Self {
            services,
            waits: Arc::default(),
            calls: Vec::new(),
        }
    }

    /// Becomes true once the guest waits for a result of which the host keeps no note.
    pub fn waits(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.waits)
    }

    fn refuse(&self) -> Result<(), Status> {
        self.waits.store(true, Ordering::Relaxed);
        Err(Status::InternalFailure)
    }
}

impl Services for Forgetful {
    fn http_call(&mut self, _: u32, call: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        if !self.services.knows(&call.upstream) {
            return Err(Status::BadArgument);
        }
        self.calls.push(ticket);
        Ok(())
    }

    fn grpc_call(&mut self, _: u32, _: GrpcCall) -> Result<(), Status> {
        self.refuse()
    }

    fn grpc_stream(&mut self, _: u32, _: GrpcCall) -> Result<(), Status> {
        self.refuse()
    }

    fn deferred_answer(&mut self, _: ContextId) -> Option<Later> {
        self.waits.store(true, Ordering::Relaxed);
        None
    }

    /// The host remembers the period.
    fn set_tick_period(&mut self, _: ContextId, _: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        self.services.log_level()
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        self.services.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.services.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.services.log_about(level, plugin, message);
    }
}

/// Wakes nobody: the VM consumes no queue.
pub(super) struct NoWaker;

impl QueueWaker for NoWaker {
    fn wake(&self, _: ContextId, _: u32) {}
}
