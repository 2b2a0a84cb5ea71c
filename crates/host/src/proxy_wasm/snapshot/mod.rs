//! Snapshots of Proxy-Wasm's VMs: one VM is started and configured, warmed up with made-up requests, and frozen. The
//! snapshot keeps what the guest told the host by then, and each VM that continues from it tells that again. Effects of
//! start functions and configuration on shared data, queues and metrics happen once, in the VM that was frozen.

mod take;
mod warm_up;

use std::sync::Arc;

use super::Vm;
use super::guest::WasmGuest;
use super::state::{PluginContext, ProxyWasmState};
use crate::life::Life;
use crate::snapshot::GuestSnapshot;
use crate::{ContextId, QueueWaker, Services, Shared, StartError, Stream};

/// A configured VM as it was when it was frozen, from which others continue.
pub struct VmSnapshot(GuestSnapshot<Told>);

/// The facts that a guest tells the host while it is configured.
pub(super) struct Told {
    /// The plugin contexts, in the order in which they were made.
    plugins: Vec<(ContextId, PluginContext)>,
    /// Queues, and the plugin contexts that consume them.
    queues: Vec<(u32, ContextId)>,
    next_context: u32,
    next_token: u32,
    status: (u32, String),
}

impl VmSnapshot {
    /// Makes a VM that continues from the snapshot: start functions and configuration do not run. Returns the contexts
    /// of the plugins, in the order in which the snapshot has them.
    ///
    /// # Errors
    ///
    /// The engine has no room.
    pub fn start(
        self: &Arc<Self>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<(Vm, Vec<ContextId>), StartError> {
        let spec = self.0.spec();
        let told = self.0.told();
        let kind = ProxyWasmState::maker(spec, shared, services, waker)?;
        let life = Life::start(
            spec,
            self.0.origin()?,
            shared,
            |account| {
                let mut state = kind(account);
                state.take_over(told);
                state
            },
            |instance, _| {
                let mut guest = WasmGuest::new(spec, instance);
                guest.untried_snapshot = Some(Arc::clone(self));
                // Only now, since nothing comes of it where there is no instance.
                guest.vm_state().tell_again(told);
                Ok(guest)
            },
        )?;
        let vm = Vm {
            spec: Arc::clone(spec),
            life,
            started: true,
            on_trial: false,
        };
        Ok((vm, told.plugins.iter().map(|(id, _)| *id).collect()))
    }

    /// True if the next VM is to be started from its module, because a VM from the snapshot died before it had finished a
    /// stream: the cause may lie in the snapshot. A proxy asks before each start; the answer is true once for each such
    /// death.
    pub fn is_distrusted(&self) -> bool {
        self.0.is_distrusted()
    }

    /// True if a VM from the snapshot has died before it had finished a stream, and none has been started from the module for
    /// that yet.
    pub fn has_died_early(&self) -> bool {
        self.0.has_died_early()
    }

    /// Bytes of memory that VMs from the snapshot share.
    pub fn memory_size(&self) -> usize {
        self.0.memory_size()
    }

    pub(super) fn died_early(&self) {
        self.0.died_early();
    }
}

impl Vm {
    /// Stops or resumes the counting of what the guest counts.
    fn set_metrics_still(&mut self, still: bool) {
        if let Some(state) = self.state() {
            state.metrics_still = still;
        }
    }

    /// The handle of a stream.
    fn stream(&mut self, id: ContextId) -> Option<&mut (dyn Stream + 'static)> {
        let context = self.state()?.streams.get_mut(&id)?;
        Some(context.stream.as_mut())
    }
}

impl ProxyWasmState {
    /// Becomes the state of a VM from a snapshot: contexts and numbers are those that the guest knows.
    fn take_over(&mut self, told: &Told) {
        self.from_snapshot = true;
        self.next_context = told.next_context;
        self.next_token = told.next_token;
        self.status = told.status.clone();
        self.plugins = told.plugins.iter().cloned().collect();
        for plugin in self.plugins.values_mut() {
            // The one that came along counts for the VM that was frozen.
            plugin.meter = Arc::new(self.shared.meters().plugin(&plugin.spec.name));
        }
    }

    /// Tells the proxy what the guest has told it once.
    fn tell_again(&mut self, told: &Told) {
        for (id, plugin) in &told.plugins {
            if plugin.tick_period.is_some() {
                self.services.set_tick_period(*id, plugin.tick_period);
            }
        }
        for (queue, plugin) in &told.queues {
            self.store.consume(*queue, *plugin);
        }
    }
}
