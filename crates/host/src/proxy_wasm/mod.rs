//! A VM: one instance of a module with its contexts, and the one way into it.

mod calls;
mod canary;
mod exports;
mod plugin;
mod snapshot;
mod start;
mod stream;
mod tcp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_abi::{Callback, LogLevel, limits};
use weir_engine::{CpuBudget, FuncId, Instance, Trap, TrapKind};
use weir_meters::VmMeter;

use crate::snapshot::VmSnapshot;
use crate::state::VmState;
use crate::{ContextId, PluginSpec, VmError, VmSpec};
use exports::Exports;

/// A running VM. It may move between threads; one at a time enters it.
///
/// Every method that enters the guest answers [`VmError`] once the VM has died. It dies of a trap, of a budget used up,
/// or of a panic in our own code; then all its streams are told ([`Stream::vm_died`](crate::Stream::vm_died)), its
/// memory is freed, and it has to be replaced by a new one.
pub struct Vm {
    spec: Arc<VmSpec>,
    exports: Exports,
    /// `None` once the VM is dead.
    instance: Option<Box<dyn Instance>>,
    meter: Arc<VmMeter>,
    callback_budget: CpuBudget,
    start_budget: CpuBudget,
    started: bool,
    /// Thrown away after its start: the guest is asked to validate its configuration before it gets it.
    canary: bool,
    /// The snapshot that the VM continues from, until it has finished a stream.
    untried_snapshot: Option<Arc<VmSnapshot>>,
}

impl Vm {
    /// What the VM was made of.
    pub fn spec(&self) -> &Arc<VmSpec> {
        &self.spec
    }

    /// Whether the module exports `callback` and its capabilities allow it. A callback that is not exported need not be
    /// prepared for: calling it answers the default.
    pub fn has(&self, callback: Callback) -> bool {
        self.exports.has(callback)
    }

    /// Whether the VM has died.
    pub fn is_dead(&self) -> bool {
        self.instance.is_none()
    }

    /// Streams that have been created and not finished, those that wait for `proxy_done` included.
    pub fn open_streams(&mut self) -> usize {
        self.state().map_or(0, |state| state.streams.len())
    }

    /// The plugin of a plugin context.
    pub fn plugin(&mut self, id: ContextId) -> Option<Arc<PluginSpec>> {
        Some(Arc::clone(&self.state()?.plugins.get(&id)?.spec))
    }

    /// Counts the VM; a proxy keeps it to say that it has retired the VM.
    pub fn meter(&self) -> &Arc<VmMeter> {
        &self.meter
    }

    /// Bytes of linear memory in use.
    pub fn memory_size(&self) -> usize {
        self.instance
            .as_ref()
            .map_or(0, |instance| instance.memory_size())
    }

    fn state(&mut self) -> Option<&mut VmState> {
        let state = self.instance.as_mut()?.state().downcast_mut::<VmState>();
        debug_assert!(state.is_some(), "every instance of the host carries a VmState");
        state
    }

    /// Calls a callback for a context, if it is exported. All ways into the guest lead through here.
    #[inline]
    fn enter(
        &mut self,
        callback: Callback,
        context: ContextId,
        args: &[u32],
    ) -> Result<Option<u32>, VmError> {
        self.enter_within(callback, context, args, self.callback_budget)
    }

    fn enter_within(
        &mut self,
        callback: Callback,
        context: ContextId,
        args: &[u32],
        budget: CpuBudget,
    ) -> Result<Option<u32>, VmError> {
        let Some(func) = self.exports.func(callback) else {
            return if self.is_dead() {
                Err(VmError::Dead)
            } else {
                Ok(None)
            };
        };
        self.state().ok_or(VmError::Dead)?.enter(callback, context);
        self.run(func, callback, args, budget).map(Some)
    }

    /// Runs a callback that the state has been prepared for.
    #[inline]
    fn run(
        &mut self,
        func: FuncId,
        callback: Callback,
        args: &[u32],
        budget: CpuBudget,
    ) -> Result<u32, VmError> {
        let Some(instance) = &mut self.instance else {
            return Err(VmError::Dead);
        };
        let clock = self.meter.meters().clock();
        let since = clock.map(|clock| (clock.raw(), context_in(&mut **instance)));
        // The instance is given up after a panic, so nobody sees what the panic left behind.
        let outcome = catch_unwind(AssertUnwindSafe(|| instance.call(func, args, budget)));
        if let (Some(clock), Some((since, Some(context)))) = (clock, since) {
            let took = clock.delta_as_nanos(since, clock.raw());
            with_state(&mut **instance, |state| {
                // Gone where the guest has ended the context.
                if let Some(meter) = state.meter_of(context) {
                    meter.callback_took(callback, took);
                }
            });
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(trap)) => Err(self.die(VmError::Trapped {
                callback: callback.name(),
                trap,
            })),
            Err(panic) => Err(self.die(VmError::Panicked {
                callback: callback.name(),
                message: panic_message(&*panic),
            })),
        }
    }

    /// Ends the VM: logs why, tells its streams, frees its memory.
    #[cold]
    fn die(&mut self, error: VmError) -> VmError {
        let Some(mut instance) = self.instance.take() else {
            return error;
        };
        self.exports = Exports::default();
        if let Some(snapshot) = self.untried_snapshot.take() {
            snapshot.died_early();
        }
        let module = self.spec.module.name();
        // Step by step, so that a panic in one (the proxy's code runs in all of them) does not keep the next from running.
        bury(module, || {
            with_state(&mut *instance, |state| {
                let plugin = state.plugin().map(|plugin| plugin.spec.name.as_str());
                self.meter.died(plugin, error.cause());
            });
        });
        bury(module, || {
            with_state(&mut *instance, |state| state.store.forget_consumers())
        });
        bury(module, || {
            with_state(&mut *instance, |state| {
                state
                    .streams
                    .values_mut()
                    .for_each(|context| context.stream.vm_died())
            });
        });
        bury(module, || {
            let text = format!("module {module}: the VM has died: {error}");
            with_state(&mut *instance, |state| {
                state.log(LogLevel::Critical, text.as_bytes())
            });
        });
        bury(module, || drop(instance));
        error
    }

    /// Runs what the guest completed with `proxy_done` in the callback that has just returned, and what has waited for it
    /// for too long.
    fn settle(&mut self) -> Result<(), VmError> {
        let Some(state) = self.state() else {
            return Ok(());
        };
        if state.deferred.is_empty() {
            return Ok(());
        }
        let mut ready = std::mem::take(&mut state.done);
        ready.retain(|id| state.deferred.iter().any(|(_, deferred)| deferred == id));
        let now = Instant::now();
        let expired = |(since, _): &&(Instant, ContextId)| now.duration_since(*since) >= limits::DONE_WAIT;
        ready.extend(state.deferred.iter().take_while(expired).map(|(_, id)| *id));
        state.deferred.retain(|(_, id)| !ready.contains(id));
        for id in ready {
            self.log_and_delete(id)?;
        }
        Ok(())
    }

    /// To be called now and then (every second or so) while [`Vm::finish_stream`] has answered
    /// [`Finish::Deferred`](crate::Finish::Deferred): ends waits for `proxy_done` that last too long.
    pub fn housekeep(&mut self) -> Result<(), VmError> {
        self.settle()
    }
}

/// Runs a step of a VM's end.
fn bury(module: &str, step: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
        tracing::error!(
            module,
            "host panicked while it buried a VM: {}",
            panic_message(&*panic)
        );
    }
}

/// The context whose callback is about to run.
fn context_in(instance: &mut dyn Instance) -> Option<ContextId> {
    instance.state().downcast_mut::<VmState>()?.effective
}

fn with_state(instance: &mut dyn Instance, f: impl FnOnce(&mut VmState)) {
    if let Some(state) = instance.state().downcast_mut::<VmState>() {
        f(state);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Whether a trap is the ordinary end of a `_start` that calls `proc_exit(0)`.
fn is_clean_exit(trap: &Trap) -> bool {
    trap.kind == TrapKind::Exit(0)
}

const fn budget(duration: Duration) -> CpuBudget {
    CpuBudget(duration)
}
