//! VMs that are frozen, and VMs that continue from a snapshot.

use std::sync::Arc;

use weir_engine::Snapshot;

use super::exports::Exports;
use super::start::{limits, tell_allocator};
use super::{Vm, budget, with_state};
use crate::snapshot::{NoSnapshot, Told, VmSnapshot};
use crate::state::VmState;
use crate::{ContextId, QueueWaker, Services, Shared, StartError, Stream};

impl Vm {
    /// Ends the VM and keeps what it was. `tell` takes from its state what is to be known of it, or says what stands in the
    /// way.
    pub(crate) fn freeze(
        mut self,
        tell: impl FnOnce(&mut VmState) -> Result<Told, NoSnapshot>,
    ) -> Result<(Arc<dyn Snapshot>, Told), NoSnapshot> {
        let dead = StartError::Dead {
            module: self.spec.module.name().into(),
        };
        let Some(state) = self.state() else {
            return Err(dead.into());
        };
        let told = tell(state)?;
        state.store.forget_consumers();
        let instance = self
            .instance
            .take()
            .and_then(|instance| instance.into_freezable());
        Ok((instance.ok_or(dead)?.freeze()?, told))
    }

    /// Makes a VM that continues from `snapshot`.
    pub(crate) fn from_snapshot(
        snapshot: &Arc<VmSnapshot>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, StartError> {
        let spec = &snapshot.spec;
        let meter = shared.meters().vm();
        let mut state = VmState::new(Arc::clone(spec), spec.module.abi(), shared, services, waker);
        state.take_over(&snapshot.told);
        let made = snapshot.frozen.instantiate(Box::new(state), &limits(spec));
        let mut instance = made.map_err(|source| StartError::Instantiate {
            module: spec.module.name().into(),
            source,
        })?;
        tell_allocator(instance.as_mut());
        // Only now, since nothing comes of it where there is no instance.
        with_state(instance.as_mut(), |state| state.tell_again(&snapshot.told));
        Ok(Self {
            meter: Arc::new(meter),
            callback_budget: budget(spec.limits.callback_deadline),
            start_budget: budget(spec.limits.start_deadline),
            exports: Exports::resolve(instance.as_mut(), spec),
            spec: Arc::clone(spec),
            instance: Some(instance),
            started: true,
            canary: false,
            untried_snapshot: Some(Arc::clone(snapshot)),
        })
    }

    /// What the guest counts is not counted for as long as this lasts.
    pub(crate) fn set_metrics_still(&mut self, still: bool) {
        if let Some(state) = self.state() {
            state.metrics_still = still;
        }
    }

    /// The handle of a stream.
    pub(crate) fn stream(&mut self, id: ContextId) -> Option<&mut (dyn Stream + 'static)> {
        let context = self.state()?.streams.get_mut(&id)?;
        Some(context.stream.as_mut())
    }
}

impl VmState {
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
