//! A throw-away VM, in which a configuration is tried before it replaces one that works.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};

use super::Vm;
use crate::{CallTicket, ContextId, HttpCall, PluginSpec, QueueWaker, Services, Shared, StartError, VmSpec};

/// The plugins that a canary has found wrong, by their indexes.
#[derive(Debug)]
pub struct CanaryRefusal {
    /// Plugins whose `proxy_on_configure` answered false. The plugins after them were tried nevertheless.
    pub refused: Vec<(usize, StartError)>,
    /// The end of the VM, and the plugin that was being added; `None` where the VM itself did not start. The plugins after
    /// that one were not tried.
    pub ended: Option<(Option<usize>, StartError)>,
}

impl CanaryRefusal {
    /// Returns the first error.
    pub fn into_first(self) -> Option<StartError> {
        let mut refused = self.refused.into_iter();
        let refused = refused.next().map(|(_, error)| error);
        refused.or(self.ended.map(|(_, error)| error))
    }
}

impl Vm {
    /// Starts a VM with all its plugins and drops it. It sees shared data, queues and metrics through an overlay
    /// ([`Shared::overlay`]) and nobody else sees its changes. Its calls are accepted and forgotten; only what the guest logs
    /// goes through `services`.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`] and [`Vm::add_plugin`], for each plugin that answers false.
    pub fn canary(
        spec: &Arc<VmSpec>,
        plugins: &[Arc<PluginSpec>],
        shared: &Shared,
        services: Box<dyn Services>,
    ) -> Result<(), CanaryRefusal> {
        let mut refusal = CanaryRefusal {
            refused: Vec::new(),
            ended: None,
        };
        let vm = Self::start(
            Arc::clone(spec),
            &shared.overlay(),
            Box::new(Canary(services, Vec::new())),
            Arc::new(Canary((), Vec::new())),
        );
        let mut vm = match vm {
            Ok(vm) => vm,
            Err(error) => {
                refusal.ended = Some((None, error));
                return Err(refusal);
            }
        };
        vm.canary = true;
        for (index, plugin) in plugins.iter().enumerate() {
            match vm.add_plugin(Arc::clone(plugin)) {
                Ok(_) => {}
                Err(error @ StartError::Refused { plugin: Some(_), .. }) => refusal.refused.push((index, error)),
                Err(error) => {
                    refusal.ended = Some((Some(index), error));
                    break;
                }
            }
        }
        match refusal.refused.is_empty() && refusal.ended.is_none() {
            true => Ok(()),
            false => Err(refusal),
        }
    }
}

/// Calls begin and never end.
struct Canary<T>(T, Vec<CallTicket>);

impl Services for Canary<Box<dyn Services>> {
    fn http_call(&mut self, _: u32, _: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        self.1.push(ticket);
        Ok(())
    }

    fn set_tick_period(&mut self, _: ContextId, _: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        self.0.log_level()
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        self.0.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.0.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.0.log_about(level, plugin, message);
    }
}

impl QueueWaker for Canary<()> {
    fn wake(&self, _: ContextId, _: u32) {}
}
