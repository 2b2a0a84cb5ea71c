//! VMs that are frozen, and VMs that continue from a snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use weir_account::Account;
use weir_engine::{InstantiateError, Snapshot};

use super::Vm;
use super::guest::WasmGuest;
use super::state::{GuestState, VmState};
use crate::life::{Budgets, Life, instance_limits};
use crate::sets::SetStates;
use crate::snapshot::{NoSnapshot, Told, VmSnapshot};
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
        let Some(guest) = self.life.guest_mut() else {
            return Err(dead.into());
        };
        let mut told = tell(guest.vm_state())?;
        let sets = guest.state().sets.for_snapshot().map_err(NoSnapshot::ImportSet)?;
        told.sets = Some(Mutex::new(sets));
        guest.leave_queues();
        let instance = self
            .life
            .take()
            .and_then(|guest| guest.into_instance().into_freezable());
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
        let budgets = Budgets::of(&spec.limits);
        let account = Account::new(spec.limits.host_memory, shared.ceiling());
        let meter = shared.meters().vm(&account);
        let life = Life::begin(spec.module.name(), budgets, meter, |_| {
            let sets = sets_from(snapshot)?;
            let mut state = GuestState::new(Arc::clone(spec), sets, shared, services, waker, account);
            state.vm.take_over(&snapshot.told);
            let limits = instance_limits(&spec.limits);
            let made = snapshot.frozen.instantiate(Box::new(state), &limits);
            let mut guest = WasmGuest::new(spec, made)?;
            guest.untried_snapshot = Some(Arc::clone(snapshot));
            // Only now, since nothing comes of it where there is no instance.
            guest.vm_state().tell_again(&snapshot.told);
            Ok(guest)
        })?;
        Ok(Self {
            spec: Arc::clone(spec),
            life,
            started: true,
            canary: false,
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

/// The states of import sets for one more VM.
fn sets_from(snapshot: &VmSnapshot) -> Result<SetStates, StartError> {
    let Some(sets) = &snapshot.told.sets else {
        return Ok(SetStates::prepare(&snapshot.spec));
    };
    let sets = sets.lock().unwrap_or_else(PoisonError::into_inner);
    sets.for_snapshot().map_err(|set| StartError::Instantiate {
        module: snapshot.spec.module.name().into(),
        source: InstantiateError::Other(format!("the import set {set} has no state for another VM")),
    })
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
