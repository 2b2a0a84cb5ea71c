//! A net thread's place for a VM: the one that runs, or the wait for the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use weir_abi::Callback;
use weir_chain::{LiveVm, VmGone, VmPlace};
use weir_host::{ContextId, RestartBackoff, Vm, VmError};
use weir_plan::VmPlan;

use crate::events::{Command, Hub};
use crate::net_thread::NetThread;

/// A net thread's place for the VM of a plan.
pub(crate) struct Place {
    /// What belongs here.
    pub plan: Arc<VmPlan>,
    /// Whose VM it is.
    pub thread: &'static NetThread,
    /// For each plugin of the plan, whether its ticks are run here.
    pub ticks: Vec<bool>,
    live: Mutex<Option<LiveRef>>,
    backoff: Mutex<RestartBackoff>,
    retired: AtomicBool,
    hub: Hub,
}

/// A VM that runs. Kept alive by its place and by the streams that began in it.
pub(crate) struct Live {
    /// Number of the VM in the process.
    pub instance: u64,
    /// Whose VM it is.
    pub thread: &'static NetThread,
    plan: Arc<VmPlan>,
    // `None` only while it is dropped.
    vm: Mutex<Option<Vm>>,
    contexts: Vec<ContextId>,
    place: Weak<Place>,
    hub: Hub,
    /// Its plugin contexts have been ended.
    ended: bool,
}

/// A place, as chains hold it.
#[derive(Clone)]
pub(crate) struct PlaceRef(pub Arc<Place>);

/// A VM, as streams hold it.
#[derive(Clone)]
pub(crate) struct LiveRef(pub Arc<Live>);

impl Place {
    /// An empty place.
    pub fn new(plan: Arc<VmPlan>, thread: &'static NetThread, ticks: Vec<bool>, hub: Hub) -> Arc<Self> {
        Arc::new(Self {
            plan,
            thread,
            ticks,
            live: Mutex::default(),
            backoff: Mutex::default(),
            retired: AtomicBool::new(false),
            hub,
        })
    }

    /// Puts a VM in its place, and tells the hub where the VM's events go to.
    pub fn install(self: &Arc<Self>, instance: u64, vm: Vm, contexts: Vec<ContextId>) {
        let live = LiveRef(Arc::new(Live {
            instance,
            thread: self.thread,
            plan: Arc::clone(&self.plan),
            vm: Mutex::new(Some(vm)),
            contexts,
            place: Arc::downgrade(self),
            hub: self.hub.clone(),
            ended: false,
        }));
        self.hub.send(Command::Arrived {
            live: Arc::downgrade(&live.0),
            instance,
        });
        let old = self.live().replace(live);
        drop(old);
    }

    /// No replacement is wanted any more. The VM stays until the last chain that has this place is gone: a transaction may
    /// have taken that chain already and come to this filter later.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Whether a newer configuration has no use for it.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// The VM has died, or could not be started: gets another one after a pause.
    pub fn revive(self: &Arc<Self>) {
        let dead = self.live().take();
        drop(dead);
        if !self.is_retired() {
            self.hub.send(Command::Revive {
                place: Arc::clone(self),
            });
        }
    }

    /// When the next attempt to start a VM may be made.
    pub fn next_attempt(&self) -> Instant {
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        backoff.died(Instant::now())
    }

    /// Whether ticks of a plugin context of the VM with this number are run here.
    pub fn runs_ticks_of(&self, live: &Live, plugin: ContextId) -> bool {
        let number = live.contexts.iter().position(|context| *context == plugin);
        number
            .and_then(|number| self.ticks.get(number))
            .copied()
            .unwrap_or(false)
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Option<LiveRef>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VmPlace for PlaceRef {
    type Vm = LiveRef;

    fn live(&self) -> Option<LiveRef> {
        self.0.live().clone()
    }

    fn has(&self, callback: Callback) -> bool {
        self.0.plan.has(callback)
    }
}

impl Live {
    /// Whether ticks of a plugin context are run in this VM.
    pub fn runs_ticks_of(&self, plugin: ContextId) -> bool {
        self.place
            .upgrade()
            .is_some_and(|place| place.runs_ticks_of(self, plugin))
    }

    /// Enters the VM; see [`LiveVm::enter`]. The caller holds the lock of the VM's net thread.
    pub fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
        let module = self.plan.reach.module.as_str();
        // A VM is never entered from inside itself: hostcalls only leave notes. Should that rule be broken, one stream
        // gets its fail policy and nothing worse happens.
        let mut guard = match self.vm.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                tracing::error!(module, "a VM was entered while it was running");
                return Err(VmGone);
            }
        };
        let Some(vm) = guard.as_mut() else {
            return Err(VmGone);
        };
        let error = match enter(vm) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let dead = vm.is_dead();
        drop(guard);
        match error {
            VmError::Dead => {}
            // The host has logged the death, backtrace and all.
            _ if dead => {
                if let Some(place) = self.place.upgrade()
                    && place
                        .live()
                        .as_ref()
                        .is_some_and(|live| live.0.instance == self.instance)
                {
                    place.revive();
                }
            }
            error => tracing::warn!(module, "{error}"),
        }
        Err(VmGone)
    }

    /// Whether a context still waits for `proxy_done`.
    pub fn has_pending_done(&self) -> bool {
        // Asked by the hub: without this lock the net thread could meet it in the VM, and would take the VM for running.
        let _lock = self.thread.lock();
        match self.vm.try_lock() {
            Ok(mut vm) => vm.as_mut().is_some_and(Vm::has_pending_done),
            Err(_) => true,
        }
    }

    /// A VM whose plugin contexts have been ended and wait for `proxy_done`.
    fn ending(&self, vm: Vm) -> Arc<Self> {
        Arc::new(Self {
            instance: self.instance,
            thread: self.thread,
            plan: Arc::clone(&self.plan),
            vm: Mutex::new(Some(vm)),
            contexts: Vec::new(),
            place: Weak::new(),
            hub: self.hub.clone(),
            ended: true,
        })
    }
}

impl LiveVm for LiveRef {
    fn context(&self, plugin: usize) -> Option<ContextId> {
        self.0.contexts.get(plugin).copied()
    }

    fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
        self.0.enter(enter)
    }

    fn await_done(&self) {
        self.0.hub.send(Command::AwaitDone {
            live: Arc::clone(&self.0),
        });
    }
}

impl Drop for Live {
    /// The last stream is over and the configuration has moved on: the plugin contexts end.
    fn drop(&mut self) {
        let instance = self.instance;
        let vm = self.vm.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut vm) = vm
            && !self.ended
            && vm.shutdown().is_ok()
            && vm.has_pending_done()
        {
            let live = self.ending(vm);
            self.hub.send(Command::Arrived {
                live: Arc::downgrade(&live),
                instance,
            });
            self.hub.send(Command::AwaitDone { live });
            return;
        }
        self.hub.send(Command::Gone { instance });
    }
}

/// How often it is looked whether `proxy_done` has come.
pub(crate) const DONE_CHECK: Duration = Duration::from_millis(250);
