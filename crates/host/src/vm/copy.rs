//! VMs that are frozen, and VMs that are copies.

use std::sync::Arc;

use weir_engine::{Image, Limits};

use super::exports::Exports;
use super::start::{limits, tell_allocator};
use super::{Vm, budget, with_state};
use crate::image::{NotCloned, Told, ToldPlugin, VmImage};
use crate::state::{PluginContext, VmState};
use crate::{ContextId, QueueWaker, Services, Shared, StartError, Stream, VmSpec};

impl Vm {
    /// Ends the VM and keeps what it was. `tell` takes from its state what is to be known of it, or says what stands in the
    /// way.
    pub(crate) fn freeze(
        mut self,
        tell: impl FnOnce(&mut VmState) -> Result<Told, NotCloned>,
    ) -> Result<(Arc<dyn Image>, Told), NotCloned> {
        let dead = StartError::Dead {
            module: self.spec.module.name().into(),
        };
        let Some(state) = self.state() else {
            return Err(dead.into());
        };
        let told = tell(state)?;
        state.shared.queues().forget(state.vm);
        let instance = self.instance.take().ok_or(dead)?;
        Ok((instance.freeze()?, told))
    }

    /// Makes a VM that goes on where `image` was taken.
    pub(crate) fn copy(
        image: &Arc<VmImage>,
        spec: &Arc<VmSpec>,
        frozen: &dyn Image,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, StartError> {
        let mut state = VmState::new(Arc::clone(spec), spec.module.abi(), shared, services, waker);
        state.take_over(&image.told);
        let limits: Limits = limits(spec);
        let mut instance =
            frozen
                .instantiate(Box::new(state), &limits)
                .map_err(|source| StartError::Instantiate {
                    module: spec.module.name().into(),
                    source,
                })?;
        tell_allocator(instance.as_mut());
        // Only now, since nothing comes of it where there is no instance.
        with_state(instance.as_mut(), |state| state.tell_again(&image.told));
        Ok(Self {
            callback_budget: budget(spec.limits.callback_budget),
            start_budget: budget(spec.limits.start_budget),
            exports: Exports::resolve(instance.as_mut(), spec),
            spec: Arc::clone(spec),
            instance: Some(instance),
            started: true,
            canary: false,
            young_copy: Some(Arc::clone(image)),
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

impl PluginContext {
    pub(crate) fn told(self) -> ToldPlugin {
        ToldPlugin {
            spec: self.spec,
            notes: self.notes,
            tick_period: self.tick_period,
        }
    }
}

impl VmState {
    /// Becomes the state of a copy: contexts and numbers are those that the guest knows.
    fn take_over(&mut self, told: &Told) {
        self.is_copy = true;
        self.next_context = told.next_context;
        self.next_token = told.next_token;
        self.status = told.status.clone();
        let plugins = told.plugins.iter().map(|(id, plugin)| {
            let context = PluginContext {
                spec: Arc::clone(&plugin.spec),
                notes: plugin.notes.clone(),
                tick_period: plugin.tick_period,
            };
            (*id, context)
        });
        self.plugins = plugins.collect();
    }

    /// Tells the proxy what the guest has told it once.
    fn tell_again(&mut self, told: &Told) {
        for (id, plugin) in &told.plugins {
            if plugin.tick_period.is_some() {
                self.services.set_tick_period(*id, plugin.tick_period);
            }
        }
        for (queue, plugin) in &told.queues {
            let waker = Arc::clone(&self.waker);
            self.shared.queues().consume(*queue, self.vm, *plugin, waker);
        }
    }
}
