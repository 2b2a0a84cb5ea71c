//! A throw-away VM, in which a configuration is tried before it replaces one that works.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};

use super::Vm;
use crate::{CallTicket, ContextId, HttpCall, PluginSpec, QueueWaker, Services, Shared, StartError, VmSpec};

impl Vm {
    /// Starts a VM with all its plugins and drops it. It sees shared data, queues and metrics through an overlay
    /// ([`Shared::overlay`]) and nobody else sees its changes. Its calls are accepted and forgotten; only what the guest logs
    /// goes through `services`.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`] and [`Vm::add_plugin`].
    pub fn canary(
        spec: &Arc<VmSpec>,
        plugins: &[Arc<PluginSpec>],
        shared: &Shared,
        services: Box<dyn Services>,
    ) -> Result<(), StartError> {
        let mut vm = Self::start(
            Arc::clone(spec),
            &shared.overlay(),
            Box::new(Canary(services, Vec::new())),
            Arc::new(Canary((), Vec::new())),
        )?;
        vm.canary = true;
        for plugin in plugins {
            vm.add_plugin(Arc::clone(plugin))?;
        }
        Ok(())
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

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.0.log(level, plugin, message);
    }
}

impl QueueWaker for Canary<()> {
    fn wake(&self, _: ContextId, _: u32) {}
}
