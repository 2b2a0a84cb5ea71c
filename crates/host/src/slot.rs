//! VMs as streams reach them: a slot for each thread, and the VM that lives in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use atomic_refcell::AtomicRefCell;
use sync_wrapper::SyncWrapper;
use weir_abi::{Callback, log_target};
use weir_account::Account;
use weir_meters::VmMeter;

use crate::{ContextId, Vm, VmError};

/// A thread's holder of a VM: the VM that lives, or none while the next one is started.
///
/// Chains of filters hold slots, so that streams which begin after a restart get the new VM. The supervisor fills and
/// empties slots; a stream only asks for [`VmSlot::live`].
pub struct VmSlot {
    live: Mutex<Option<Arc<LiveVm>>>,
    exported: Arc<ExportedCallbacks>,
}

impl VmSlot {
    /// Makes an empty slot for VMs with these callbacks.
    pub fn new(exported: Arc<ExportedCallbacks>) -> Arc<Self> {
        Arc::new(Self {
            live: Mutex::default(),
            exported,
        })
    }

    /// Returns the VM that lives in the slot. A stream asks once for each filter, when its request reaches the filter, and
    /// keeps the VM until the stream ends.
    pub fn live(&self) -> Option<Arc<LiveVm>> {
        self.lock().clone()
    }

    /// Returns true if VMs of this slot have the callback; see [`ExportedCallbacks::has`].
    pub fn has(&self, callback: Callback) -> bool {
        self.exported.has(callback)
    }

    /// Puts a VM into the slot, and returns the one that was there. The caller drops that one while it holds no lock: the
    /// last owner of a VM runs its guest's end.
    pub fn fill(&self, vm: Arc<LiveVm>) -> Option<Arc<LiveVm>> {
        self.lock().replace(vm)
    }

    /// Takes the VM out of the slot; as for [`VmSlot::fill`], the caller drops it while it holds no lock.
    pub fn empty(&self) -> Option<Arc<LiveVm>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<LiveVm>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A VM that lives. Its slot, the streams that began in it and, at the end, its keeper share it.
///
/// One thread at a time enters the VM; the proxy sees to that. Entering is one compare-and-swap and never blocks.
pub struct LiveVm {
    // `None` only while it is dropped.
    vm: AtomicRefCell<SyncWrapper<Option<Vm>>>,
    contexts: Vec<ContextId>,
    meter: Arc<VmMeter>,
    account: Option<Arc<Account>>,
    keeper: Arc<dyn VmKeeper>,
    /// Answers wait that were put off.
    has_put_off: AtomicBool,
}

/// Learns how a [`LiveVm`] fares. The supervisor implements it. All methods may be called on any thread that enters the VM,
/// never from inside of the VM.
pub trait VmKeeper: Send + Sync {
    /// Returns the file name of the VM's module, for the log.
    fn module(&self) -> &str;

    /// The VM has died in the callback that was running. Called once; the reason has been logged.
    fn died(&self);

    /// A context of the VM has answered false from `proxy_on_done`: the VM has to stay until `proxy_done` has come, or has
    /// been waited for long enough ([`weir_abi::limits::DONE_WAIT`]).
    fn await_done(&self, vm: &Arc<LiveVm>);

    /// A stream has begun to wait for the VM, while answers wait that were put off ([`LiveVm::set_put_off`]): one of them may be
    /// what the stream waits for. The stream is held by the time that events are delivered next.
    fn stream_waits(&self);

    /// The last owner has dropped the VM, dead or alive. The keeper ends its plugin contexts ([`Vm::shutdown`]).
    fn ended(&self, vm: Vm, contexts: Vec<ContextId>);
}

/// The VM of a filter is dead, or has just died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmGone;

impl LiveVm {
    /// Shares a VM that has been started. `contexts` are its plugin contexts in the order of its plan.
    pub fn new(mut vm: Vm, contexts: Vec<ContextId>, keeper: Arc<dyn VmKeeper>) -> Arc<Self> {
        Arc::new(Self {
            account: vm.account().cloned(),
            meter: Arc::clone(vm.meter()),
            vm: AtomicRefCell::new(SyncWrapper::new(Some(vm))),
            contexts,
            keeper,
            has_put_off: AtomicBool::new(false),
        })
    }

    /// Returns the account of what the host holds for the VM. `None` for a VM that was dead already when it was shared.
    pub const fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// Returns the context of the plugin with this index in the plan.
    pub fn context(&self, plugin: usize) -> Option<ContextId> {
        self.contexts.get(plugin).copied()
    }

    /// Returns the plugin contexts in the order of the plan.
    pub fn contexts(&self) -> &[ContextId] {
        &self.contexts
    }

    /// Counts the VM; the supervisor says there when it retires the VM.
    pub fn meter(&self) -> &VmMeter {
        &self.meter
    }

    /// Enters the VM on the thread that may do so now.
    ///
    /// # Errors
    ///
    /// The VM is dead, or cannot take the stream: the caller has to do without it. The reason has been logged, and the
    /// keeper of a VM that has just died has been told.
    #[inline]
    pub fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
        let Ok(mut guard) = self.vm.try_borrow_mut() else {
            return Err(self.is_running());
        };
        let Some(vm) = guard.get_mut() else {
            return Err(VmGone);
        };
        let error = match enter(vm) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let is_dead = vm.is_dead();
        drop(guard);
        Err(self.failed(&error, is_dead))
    }

    /// Keeps the VM until `proxy_done` has come for the stream that has just ended, or has been waited for long enough.
    pub fn await_done(self: &Arc<Self>) {
        self.keeper.await_done(self);
    }

    /// Notes whether answers wait that were put off. Called by the keeper on the thread that may enter the VM.
    pub fn set_put_off(&self, waits: bool) {
        self.has_put_off.store(waits, Ordering::Relaxed);
    }

    /// A callback of a stream has answered that the stream is to wait. Called on the thread that may enter the VM, outside of
    /// the VM.
    #[inline]
    pub fn stream_waits(&self) {
        if self.has_put_off.load(Ordering::Relaxed) {
            self.keeper.stream_waits();
        }
    }

    /// A VM is never entered from inside itself: hostcalls only leave notes. Should that rule be broken, one stream gets its
    /// fail policy and nothing worse happens.
    #[cold]
    fn is_running(&self) -> VmGone {
        let module = self.keeper.module();
        tracing::error!(module, "a VM was entered while it was running");
        VmGone
    }

    #[cold]
    fn failed(&self, error: &VmError, is_dead: bool) -> VmGone {
        match error {
            VmError::Dead => {}
            _ if is_dead => self.keeper.died(),
            error => {
                tracing::warn!(target: log_target::ABOUT_GUEST, module = self.keeper.module(), "{error}")
            }
        }
        VmGone
    }
}

impl Drop for LiveVm {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.get_mut().get_mut().take() {
            self.keeper.ended(vm, std::mem::take(&mut self.contexts));
        }
    }
}

/// The callbacks that VMs of one plan have: none before the first has been started.
#[derive(Debug, Default)]
pub struct ExportedCallbacks(OnceLock<u64>);

impl ExportedCallbacks {
    /// Notes the callbacks of a VM. Called when a VM of the plan has been started; the first call counts.
    pub fn learn(&self, vm: &Vm) {
        self.set(|callback| vm.has(callback));
    }

    /// Notes these callbacks, as [`ExportedCallbacks::learn`] does.
    pub fn set(&self, has: impl Fn(Callback) -> bool) {
        self.0.get_or_init(|| {
            Callback::ALL
                .iter()
                .filter(|callback| has(**callback))
                .fold(0, |set, callback| set | 1 << callback.index())
        });
    }

    /// Returns true if VMs of the plan have the callback. Before any VM has been started nothing is called, so the answer
    /// is no.
    pub fn has(&self, callback: Callback) -> bool {
        self.0.get().is_some_and(|set| set >> callback.index() & 1 == 1)
    }
}
