//! Takes a snapshot: the VM to freeze, from its start to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use weir_abi::WarmUp;

use super::{Told, VmSnapshot, warm_up};
use crate::proxy_wasm::trial::{Forgetful, NoWaker, TrialServices};
use crate::proxy_wasm::{ProxyWasmState, Vm};
use crate::snapshot::GuestSnapshot;
use crate::{ContextId, NoSnapshot, PluginSpec, Shared, StartError, VmSpec};

impl VmSnapshot {
    /// Starts a VM with all its plugins, shows it the made-up requests, and freezes it. Calls that it makes are accepted
    /// and forgotten.
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
        services: Arc<dyn TrialServices>,
    ) -> Result<Arc<Self>, NoSnapshot> {
        let services = Forgetful::new(services);
        let waits = services.waits();
        let mut vm = Vm::start_freezable(Arc::clone(spec), shared, Box::new(services), Arc::new(NoWaker))?;
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
fn tell(state: &mut ProxyWasmState, contexts: &[ContextId]) -> Result<Told, NoSnapshot> {
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
