//! The means of a plan's slots to answer deaths: the budget of restarts at once, and a spare VM.
//!
//! A plan's spare is made when the first of its VMs has died, since a filter that never dies needs none; one serves the
//! slots of all threads, since a death is one thread's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use weir_host::{ConsumedQueues, ContextId, RestartBudget, Vm};

use crate::supervised_vm::SupervisedVm;

/// The means of a plan's slots to answer deaths, which the slots share.
#[derive(Default)]
pub(crate) struct Reserve {
    budget: Mutex<RestartBudget>,
    spare: Mutex<Place>,
}

/// The place of the spare.
#[derive(Default)]
enum Place {
    #[default]
    Empty,
    /// A spare is being started.
    Starting,
    Ready(Box<Spare>),
}

/// A VM that has been started, belongs to no slot, and is told of nothing.
pub(crate) struct Spare {
    pub supervised: Arc<SupervisedVm>,
    /// `None` once it is taken.
    vm: Option<(Vm, Vec<ContextId>, ConsumedQueues)>,
}

impl Reserve {
    /// Asks whether a VM that died at `now` may be replaced at once.
    pub fn grants_restart(&self, now: Instant) -> bool {
        lock(&self.budget).take(now)
    }

    /// Takes the spare, where it is ready.
    pub fn take(&self) -> Option<Spare> {
        let mut place = lock(&self.spare);
        match std::mem::take(&mut *place) {
            Place::Ready(spare) => Some(*spare),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Returns true if the spare is ready.
    #[cfg(test)]
    pub fn is_ready(&self) -> bool {
        matches!(*lock(&self.spare), Place::Ready(_))
    }

    /// Fills the place with what `start` brings, unless a spare is there or is being started. `start` blocks for as long as
    /// the guest takes, while nothing is locked.
    pub fn fill(&self, start: impl FnOnce() -> Option<Spare>) {
        {
            let mut place = lock(&self.spare);
            if !matches!(*place, Place::Empty) {
                return;
            }
            *place = Place::Starting;
        }
        let clear = Clear(self);
        if let Some(spare) = start() {
            *lock(&self.spare) = Place::Ready(Box::new(spare));
        }
        drop(clear);
    }
}

/// Empties the place after a start that failed, however it ended.
struct Clear<'a>(&'a Reserve);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        let mut place = lock(&self.0.spare);
        if matches!(*place, Place::Starting) {
            *place = Place::Empty;
        }
    }
}

impl Spare {
    /// Sets a VM aside that has been started.
    pub fn new(supervised: Arc<SupervisedVm>, mut vm: Vm, contexts: Vec<ContextId>) -> Self {
        let queues = vm.set_aside();
        Self {
            supervised,
            vm: Some((vm, contexts, queues)),
        }
    }

    /// Makes it a VM that serves.
    pub fn into_vm(mut self) -> Option<(Vm, Vec<ContextId>)> {
        let (mut vm, contexts, queues) = self.vm.take()?;
        vm.take_over(queues);
        Some((vm, contexts))
    }
}

impl Drop for Spare {
    /// Ends a VM that was never needed. Nobody looks into its mailbox, so it does not wait for `proxy_done`.
    fn drop(&mut self) {
        if let Some((mut vm, ..)) = self.vm.take() {
            // A guest that dies at its end has ended.
            let _ = vm.shutdown();
            drop(vm);
            self.supervised.close();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
