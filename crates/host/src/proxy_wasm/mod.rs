//! Proxy-Wasm on top of a guest's life: contexts, callbacks and their encoding, hostcalls.

mod action;
mod calls;
mod context_map;
mod done_waits;
mod exports;
mod guest;
mod hostcalls;
mod maps;
mod names;
mod output;
mod plugin;
mod set;
mod snapshot;
mod start;
mod state;
mod stream;
mod tcp;
mod trial;

use std::sync::Arc;
use std::time::Instant;

use weir_abi::Callback;
use weir_account::Account;
use weir_engine::FuncId;
use weir_meters::VmMeter;

pub use self::action::{BodyAction, Finish, HeadersAction, StreamAction};
use self::guest::{Entry, WasmGuest};
pub use self::snapshot::VmSnapshot;
pub use self::start::ConsumedQueues;
use self::state::ProxyWasmState;
pub use self::trial::{TrialRefusal, TrialServices};
use crate::life::Life;
use crate::{ContextId, PluginSpec, VmError, VmSpec};

/// A running VM. It may move between threads; one at a time enters it.
///
/// Every method that enters the guest answers [`VmError`] once the VM has died. It dies of a trap, of a budget used up,
/// or of a panic in our own code; then all its streams are told ([`Stream::vm_died`](crate::Stream::vm_died)), its
/// memory is freed, and a new VM has to replace it.
pub struct Vm {
    spec: Arc<VmSpec>,
    life: Life<WasmGuest>,
    started: bool,
    /// Thrown away after its start: the guest is asked to validate its configuration before it gets it.
    on_trial: bool,
}

impl Vm {
    /// The specification that the VM was started with.
    pub fn spec(&self) -> &Arc<VmSpec> {
        &self.spec
    }

    /// True if the module exports `callback` and its capabilities allow it. A proxy asks before it prepares for a callback
    /// (collects a body, serialises headers); a call without the export is cheap and answers the default action.
    pub fn has(&self, callback: Callback) -> bool {
        self.life.guest().is_some_and(|guest| guest.has(callback))
    }

    /// True once the VM has died.
    pub fn is_dead(&self) -> bool {
        self.life.is_dead()
    }

    /// Number of stream contexts, those that wait for `proxy_done` included. A proxy drops a retired VM at 0.
    pub fn open_streams(&mut self) -> usize {
        self.state().map_or(0, |state| state.streams.len())
    }

    /// The specification of a plugin context; `None` for a number that is no plugin context of this VM.
    pub fn plugin(&mut self, id: ContextId) -> Option<Arc<PluginSpec>> {
        Some(Arc::clone(&self.state()?.plugins.get(&id)?.spec))
    }

    /// Counts the VM; a proxy keeps it to say that it has retired the VM.
    pub const fn meter(&self) -> &Arc<VmMeter> {
        self.life.meter()
    }

    /// The account of what the host holds for the VM; `None` once the VM is dead.
    pub fn account(&mut self) -> Option<&Arc<Account>> {
        Some(&self.state()?.account)
    }

    /// Bytes of linear memory in use.
    pub fn memory_size(&self) -> usize {
        self.life.guest().map_or(0, WasmGuest::memory_size)
    }

    fn state(&mut self) -> Option<&mut ProxyWasmState> {
        Some(self.life.guest_mut()?.vm_state())
    }

    /// Calls a callback for a context, if it is exported.
    #[inline]
    fn enter(
        &mut self,
        callback: Callback,
        context: ContextId,
        args: &[u32],
    ) -> Result<Option<u32>, VmError> {
        match self.prepare(callback, context)? {
            Some(func) => self.run(func, Entry { callback, context }, args).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Vm::enter`], for callbacks that set the guest up.
    fn enter_at_start(
        &mut self,
        callback: Callback,
        context: ContextId,
        args: &[u32],
    ) -> Result<Option<u32>, VmError> {
        let Some(func) = self.prepare(callback, context)? else {
            return Ok(None);
        };
        let entry = Entry { callback, context };
        let answer = self
            .life
            .call_at_start(entry, |guest, budget| guest.call(func, args, budget))?;
        Ok(Some(answer))
    }

    /// Prepares the state for a callback; `None` where the callback is not exported.
    #[inline]
    fn prepare(&mut self, callback: Callback, context: ContextId) -> Result<Option<FuncId>, VmError> {
        let guest = self.life.guest_mut().ok_or(VmError::Dead)?;
        let func = guest.exports.func(callback);
        if func.is_some() {
            guest.state().enter(callback, context);
        }
        Ok(func)
    }

    /// Runs a callback that the state has been prepared for.
    #[inline]
    fn run(&mut self, func: FuncId, entry: Entry, args: &[u32]) -> Result<u32, VmError> {
        self.life.call(entry, |guest, budget| {
            let args = guest.exports.args(entry.callback, args);
            guest.call(func, args, budget)
        })
    }

    /// Ends the contexts that the guest has completed with `proxy_done`, and those that have waited for it for too long. What
    /// takes longer than one callback may take is left to the next callback or [`Vm::housekeep`].
    fn settle(&mut self) -> Result<(), VmError> {
        let Some(state) = self.state() else {
            return Ok(());
        };
        if state.done_waits.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        while let Some(id) = self.state().and_then(|state| state.done_waits.next(begun)) {
            self.log_and_delete(id)?;
            if begun.elapsed() >= self.spec.limits.callback_deadline {
                break;
            }
        }
        Ok(())
    }

    /// Ends waits for `proxy_done` that last longer than [`DONE_WAIT`](weir_abi::limits::DONE_WAIT). A proxy calls this about
    /// once a second while [`Vm::has_pending_done`] is true.
    ///
    /// # Errors
    ///
    /// The VM has died.
    pub fn housekeep(&mut self) -> Result<(), VmError> {
        self.settle()
    }
}
