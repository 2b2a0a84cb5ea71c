//! Takes a snapshot: the VM to freeze, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_abi::{LogLevel, Status, WarmUp};

use super::{Told, VmSnapshot, warm_up};
use crate::proxy_wasm::{Vm, VmState};
use crate::snapshot::GuestSnapshot;
use crate::{
    CallTicket, ContextId, GrpcCall, HttpCall, Later, NoSnapshot, PluginSpec, QueueWaker, Services, Shared,
    StartError, VmSpec,
};

impl VmSnapshot {
    /// Starts a VM with all its plugins, shows it the made-up requests, and freezes it. Calls that it makes are accepted
    /// and forgotten; of `services`, it is asked whether it takes a call, and what the guest logs goes there.
    ///
    /// # Errors
    ///
    /// The module's instances cannot be frozen, or the guest does something while it is configured that would be missing in
    /// VMs from the snapshot.
    pub fn take(
        spec: &Arc<VmSpec>,
        plugins: &[Arc<PluginSpec>],
        requests: &[WarmUp],
        shared: &Shared,
        services: Box<dyn Services>,
    ) -> Result<Arc<Self>, NoSnapshot> {
        let waits = Arc::new(AtomicBool::new(false));
        let services = ServicesToFreeze {
            services,
            waits: Arc::clone(&waits),
            calls: Vec::new(),
        };
        let mut vm = Vm::start_freezable(Arc::clone(spec), shared, Box::new(services), Arc::new(Nobody))?;
        let mut contexts = Vec::with_capacity(plugins.len());
        for plugin in plugins {
            contexts.push(vm.add_plugin(Arc::clone(plugin))?);
        }
        for (number, request) in (1..).zip(requests) {
            for plugin in &contexts {
                warm_up::run(&mut vm, *plugin, request)
                    .map_err(|error| NoSnapshot::WarmUp { number, error })?;
            }
        }
        let dead = || StartError::Dead {
            module: spec.module.name().into(),
        };
        let mut guest = vm.life.take().ok_or_else(dead)?;
        if waits.load(Ordering::Relaxed) {
            return Err(NoSnapshot::Pending("a call whose answer comes later"));
        }
        let told = tell(guest.vm_state(), &contexts)?;
        guest.leave_queues();
        let snapshot = GuestSnapshot::freeze(spec, guest.into_instance(), told)?;
        Ok(Arc::new(Self(snapshot)))
    }
}

/// Takes what the guest has told the host from its state.
fn tell(state: &mut VmState, contexts: &[ContextId]) -> Result<Told, NoSnapshot> {
    if !state.http_calls.is_empty() || !state.grpc_calls.is_empty() {
        return Err(NoSnapshot::Pending("a call to an upstream"));
    }
    if state.streams.len() > 0 {
        return Err(NoSnapshot::Pending("a wait for proxy_done"));
    }
    Ok(Told {
        plugins: contexts
            .iter()
            .filter_map(|id| Some((*id, state.plugins.remove(id)?)))
            .collect(),
        queues: state.store.consumed().collect(),
        next_context: state.next_context,
        next_token: state.next_token,
        status: std::mem::take(&mut state.status),
    })
}

/// The services of a VM to freeze: nothing that it begins ever ends.
struct ServicesToFreeze {
    services: Box<dyn Services>,
    /// It has begun what cannot be seen otherwise.
    waits: Arc<AtomicBool>,
    calls: Vec<CallTicket>,
}

impl ServicesToFreeze {
    fn refuse(&self) -> Result<(), Status> {
        self.waits.store(true, Ordering::Relaxed);
        Err(Status::InternalFailure)
    }
}

impl Services for ServicesToFreeze {
    fn http_call(&mut self, token: u32, call: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        self.services.http_call(token, call, ticket.clone())?;
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

    /// The host remembers it.
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

/// A VM to freeze consumes no queue.
struct Nobody;

impl QueueWaker for Nobody {
    fn wake(&self, _: ContextId, _: u32) {}
}
