//! A worker's place for a VM: the one that runs, or the wait for the next.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use weir_abi::limits::DONE_WAIT;
use weir_chain::VmGone;
use weir_host::{ContextId, RestartBackoff, Shared, Vm, VmError};
use weir_plan::VmPlan;

use crate::vm::start::{self, StartedVm};
use crate::worker::Message;

/// How often it is looked whether `proxy_done` has come.
const DONE_CHECK: Duration = Duration::from_millis(250);

/// A worker's place for the VM of a plan.
pub(crate) struct VmSlot {
    plan: Arc<VmPlan>,
    shared: Shared,
    worker: UnboundedSender<Message>,
    live: RefCell<Option<Rc<LiveVm>>>,
    backoff: RefCell<RestartBackoff>,
    /// A newer configuration has no use for it.
    retired: Cell<bool>,
    /// A replacement is being waited for.
    reviving: Cell<bool>,
}

/// A VM that runs. Kept alive by its slot and by the streams that began in it.
pub(crate) struct LiveVm {
    /// Number of the VM in the process.
    pub instance: u64,
    plan: Arc<VmPlan>,
    // `None` only while it is dropped.
    vm: RefCell<Option<Vm>>,
    contexts: Vec<ContextId>,
    slot: Weak<VmSlot>,
    worker: UnboundedSender<Message>,
    /// Its plugin contexts have been ended.
    ended: bool,
}

impl VmSlot {
    /// An empty place.
    pub fn new(plan: Arc<VmPlan>, shared: Shared, worker: UnboundedSender<Message>) -> Rc<Self> {
        Rc::new(Self {
            plan,
            shared,
            worker,
            live: RefCell::new(None),
            backoff: RefCell::default(),
            retired: Cell::new(false),
            reviving: Cell::new(false),
        })
    }

    /// What belongs here.
    pub fn plan(&self) -> &Arc<VmPlan> {
        &self.plan
    }

    /// The VM that runs, if one does.
    pub fn live(&self) -> Option<Rc<LiveVm>> {
        self.live.borrow().clone()
    }

    /// Puts a VM in its place, and tells the worker whom the VM's events go to.
    pub fn install(self: &Rc<Self>, started: StartedVm) -> Rc<LiveVm> {
        let live = Rc::new(LiveVm {
            instance: started.instance,
            plan: Arc::clone(&self.plan),
            vm: RefCell::new(Some(started.vm)),
            contexts: started.contexts,
            slot: Rc::downgrade(self),
            worker: self.worker.clone(),
            ended: false,
        });
        *self.live.borrow_mut() = Some(Rc::clone(&live));
        live
    }

    /// No replacement is wanted any more. The VM stays until the last chain that has this slot is gone: a stream may have
    /// begun with that chain and come to this filter later.
    pub fn retire(&self) {
        self.retired.set(true);
    }

    /// The VM has died, or could not be started: gets another one after a pause. Must be called inside of the
    /// worker's `LocalSet`.
    pub fn revive(self: &Rc<Self>) {
        let dead = self.live.borrow_mut().take();
        drop(dead);
        if self.retired.get() || self.reviving.replace(true) {
            return;
        }
        let slot = Rc::clone(self);
        tokio::task::spawn_local(async move {
            slot.bring_back().await;
            slot.reviving.set(false);
        });
    }

    async fn bring_back(self: &Rc<Self>) {
        let meters = self.shared.meters();
        let _restarting = meters.restarting();
        loop {
            let at = self.backoff.borrow_mut().died(Instant::now());
            let module = &self.plan.reach.module;
            tracing::warn!(module, after = ?at.saturating_duration_since(Instant::now()), "VM will be started again");
            tokio::time::sleep_until(at.into()).await;
            if self.retired.get() {
                return;
            }
            meters.vm_restarts.increment();
            let (plan, shared, worker) = (Arc::clone(&self.plan), self.shared.clone(), self.worker.clone());
            let started = tokio::task::spawn_blocking(move || start::start(&plan, &shared, &worker)).await;
            match started {
                Ok(Ok(started)) if !self.retired.get() => {
                    tracing::info!(module, "VM runs again");
                    // Sent rather than done here, so that it comes after the messages of the VM's own start.
                    let _ = self.worker.send(Message::Revived {
                        slot: SlotRef::of(self),
                        started: Box::new(started),
                    });
                    return;
                }
                Ok(Ok(late)) => {
                    let _ = self.worker.send(Message::Gone {
                        instance: late.instance,
                    });
                    return;
                }
                Ok(Err(error)) => tracing::error!(module, "{error}"),
                Err(error) => tracing::error!(module, "starting a VM failed: {error}"),
            }
        }
    }
}

/// Names a slot in a message that travels between threads, though it never leaves its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef(usize);

impl SlotRef {
    /// The name of a slot.
    pub fn of(slot: &Rc<VmSlot>) -> Self {
        Self(Rc::as_ptr(slot).addr())
    }
}

impl LiveVm {
    /// The context of the plugin with this place in the plan.
    pub fn context(&self, plugin: usize) -> Option<ContextId> {
        self.contexts.get(plugin).copied()
    }

    /// Enters the VM. An error means that the VM is dead, or that it cannot take the stream: either way the caller
    /// has to do without it. Why has been logged.
    pub fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
        // A VM is never entered from inside itself: hostcalls only leave notes. Should that rule be broken, one stream
        // gets its fail policy and nothing worse happens.
        let Ok(mut guard) = self.vm.try_borrow_mut() else {
            tracing::error!(
                module = self.plan.reach.module,
                "a VM was entered while it was running"
            );
            return Err(VmGone);
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
                if let Some(slot) = self.slot.upgrade()
                    && slot
                        .live
                        .borrow()
                        .as_ref()
                        .is_some_and(|live| live.instance == self.instance)
                {
                    slot.revive();
                }
            }
            error => tracing::warn!(module = self.plan.reach.module, "{error}"),
        }
        Err(VmGone)
    }

    /// A stream has ended but for its `proxy_done`: keeps the VM until that has come, or has been waited for long
    /// enough. Inside of the worker's `LocalSet` only; elsewhere the worker is ending, and nothing is waited for.
    pub fn await_done(self: &Rc<Self>) {
        if self.worker.is_closed() {
            return;
        }
        let vm = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let until = Instant::now() + DONE_WAIT;
            while vm.has_pending_done() && Instant::now() <= until {
                tokio::time::sleep(DONE_CHECK).await;
            }
            // Ends the wait; that the VM may have died meanwhile is known by then.
            let _ = vm.enter(Vm::housekeep);
        });
    }

    /// Whether a context still waits for `proxy_done`.
    pub fn has_pending_done(&self) -> bool {
        self.vm
            .try_borrow_mut()
            .is_ok_and(|mut vm| vm.as_mut().is_some_and(Vm::has_pending_done))
    }

    /// A VM whose plugin contexts have been ended and wait for `proxy_done`.
    pub fn ending(plan: Arc<VmPlan>, instance: u64, vm: Vm, worker: UnboundedSender<Message>) -> Rc<Self> {
        Rc::new(Self {
            instance,
            plan,
            vm: RefCell::new(Some(vm)),
            contexts: Vec::new(),
            slot: Weak::new(),
            worker,
            ended: true,
        })
    }
}

impl Drop for LiveVm {
    /// The last stream is over and the configuration has moved on: the plugin contexts end.
    fn drop(&mut self) {
        let Some(mut vm) = self.vm.get_mut().take() else {
            return;
        };
        let instance = self.instance;
        if !self.ended && vm.shutdown().is_ok() && vm.has_pending_done() {
            let plan = Arc::clone(&self.plan);
            if self
                .worker
                .send(Message::Ending {
                    plan,
                    instance,
                    vm: Box::new(vm),
                })
                .is_ok()
            {
                return;
            }
        }
        // Nobody listens any more if the worker is gone.
        let _ = self.worker.send(Message::Gone { instance });
    }
}
