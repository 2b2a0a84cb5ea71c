//! A slot: a thread's holder of the VM of a plan, and the starts that fill it.

use std::sync::Arc;
use std::time::Instant;

use weir_abi::log_target;
use weir_config::Ticks;
use weir_host::{ContextId, LiveVm, StartError, Vm, VmSlot};
use weir_plan::VmPlan;

use crate::background::Background;
use crate::fleet::VmThread;
use crate::reserve::{Reserve, Spare};
use crate::services::VmServices;
use crate::slot_state::{Phase, SlotState};
use crate::supervised_vm::SupervisedVm;
use crate::task::{Command, Supervisor};

/// A thread's holder of the VM of a plan. Its VM is replaced when it dies, until the slot is retired: at once within the VM
/// key's budget of restarts ([`RESTARTS`](weir_abi::limits::RESTARTS)), then with a growing pause.
pub struct Slot {
    plan: Arc<VmPlan>,
    /// Shared by the plan's slots on all threads.
    reserve: Arc<Reserve>,
    vm: Arc<VmSlot>,
    state: SlotState,
    pub(crate) thread: usize,
    pub(crate) supervisor: Supervisor,
    pub(crate) runs_ticks: Arc<[bool]>,
    /// The budget of the slot's VMs for what they do in the background.
    pub(crate) background: Arc<Background>,
}

impl Slot {
    /// Makes an empty slot on a thread. `reserve` is that of the plan; `ticks` holds for plugins whose documents do not say.
    pub(crate) fn new(
        plan: &Arc<VmPlan>,
        reserve: &Arc<Reserve>,
        thread: &VmThread,
        ticks: Ticks,
    ) -> Arc<Self> {
        let runs = |own: &Option<Ticks>| own.unwrap_or(ticks) == Ticks::EveryVm || thread.index == 0;
        Arc::new(Self {
            plan: Arc::clone(plan),
            reserve: Arc::clone(reserve),
            vm: VmSlot::new(Arc::clone(&plan.exported)),
            state: SlotState::default(),
            thread: thread.index,
            supervisor: thread.supervisor.clone(),
            runs_ticks: plan.identity.ticks.iter().map(runs).collect(),
            background: Arc::new(Background::new(
                plan.spec.limits.cpu,
                plan.spec.limits.callback_deadline,
            )),
        })
    }

    /// Returns the plan of the slot's VMs.
    pub fn plan(&self) -> &Arc<VmPlan> {
        &self.plan
    }

    /// Returns the part of the slot that chains of filters hold.
    pub fn vm(&self) -> &Arc<VmSlot> {
        &self.vm
    }

    /// Returns what the slot does now.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Starts a VM and lets it into the slot: from the plan's snapshot if there is one, else by the module's start functions
    /// and configuration. Blocks for as long as the guest takes, so call it on a thread that delivers no events. Does nothing
    /// where a VM lives or is being started, and in a retired slot.
    ///
    /// # Errors
    ///
    /// The VM did not start. Call [`Slot::retry`] to have the supervisor try again, or [`Slot::retire`] to leave it.
    pub fn start(self: &Arc<Self>) -> Result<(), StartError> {
        if !self.state.begin() {
            return Ok(());
        }
        // A spare that became ready meanwhile.
        if let Some((supervised, vm, contexts)) = self.take_spare() {
            self.admit(&supervised, vm, contexts);
            return Ok(());
        }
        let supervised = SupervisedVm::new(self);
        let services = Box::new(VmServices::new(&supervised));
        let started = self
            .plan
            .start(self.supervisor.shared(), services, Arc::clone(&supervised) as _);
        match started {
            Ok((vm, contexts)) => {
                self.admit(&supervised, vm, contexts);
                Ok(())
            }
            Err(error) => {
                supervised.close();
                Err(error)
            }
        }
    }

    /// Lets a VM in, after [`SlotState::begin`]. A slot that has been retired meanwhile does not take the VM, which ends here.
    fn admit(&self, supervised: &Arc<SupervisedVm>, vm: Vm, contexts: Vec<ContextId>) {
        let live = LiveVm::new(vm, contexts, Arc::clone(supervised) as _);
        let mut old = None;
        if self
            .state
            .arrived(supervised.number, || old = self.vm.fill(Arc::clone(&live)))
        {
            supervised.arrived(&live);
            // What a spare has asked for waits there.
            supervised.note();
        }
    }

    /// Takes the plan's spare for this slot, where there is one.
    fn take_spare(self: &Arc<Self>) -> Option<(Arc<SupervisedVm>, Vm, Vec<ContextId>)> {
        let spare = self.reserve.take()?;
        let supervised = Arc::clone(&spare.supervised);
        supervised.move_in(self);
        let (vm, contexts) = spare.into_vm()?;
        self.plan.spare_took_over();
        Some((supervised, vm, contexts))
    }

    /// Continues from the plan's snapshot, where there is one.
    fn continue_snapshot(self: &Arc<Self>) -> Option<(Arc<SupervisedVm>, Vm, Vec<ContextId>)> {
        let supervised = SupervisedVm::new(self);
        let services = || {
            let services = Box::new(VmServices::new(&supervised)) as _;
            (services, Arc::clone(&supervised) as _)
        };
        match self.plan.continue_snapshot(self.supervisor.shared(), services)? {
            Ok((vm, contexts)) => Some((supervised, vm, contexts)),
            Err(error) => {
                let module = &self.plan.reach.module;
                tracing::error!(target: log_target::ABOUT_GUEST, module, filters = self.filters(), "{error}");
                supervised.close();
                None
            }
        }
    }

    /// Starts a spare for the plan's slots, unless there is one or the plan needs none. Blocks for as long as the guest takes.
    pub(crate) fn start_spare(&self) {
        if !self.plan.needs_spare() || self.state.is_retired() {
            return;
        }
        self.reserve.fill(|| {
            let supervised = SupervisedVm::spare(self);
            let services = Box::new(VmServices::new(&supervised));
            let waker = Arc::clone(&supervised) as _;
            match self.plan.start_spare(self.supervisor.shared(), services, waker) {
                Ok((vm, contexts)) => {
                    let spare = Spare::new(supervised, vm, contexts);
                    tracing::info!(
                        target: log_target::ABOUT_GUEST,
                        module = self.plan.reach.module,
                        filters = self.filters(),
                        "spare VM ready"
                    );
                    Some(spare)
                }
                Err(error) => {
                    supervised.close();
                    tracing::warn!(
                        target: log_target::ABOUT_GUEST,
                        module = self.plan.reach.module,
                        filters = self.filters(),
                        "no spare VM, so that the next VM which dies is replaced after a start: {error}"
                    );
                    None
                }
            }
        });
    }

    /// Has the supervisor start a VM after a pause, because [`Slot::start`] has failed.
    pub fn retry(self: &Arc<Self>) {
        if let Some(at) = self.state.failed(Instant::now()) {
            self.restart(at);
        }
    }

    /// Starts no more VMs. The VM that lives stays for the streams whose chains hold the slot: a stream may have begun with
    /// such a chain and come to this filter later. The VM ends with the last of them.
    pub fn retire(&self) {
        self.state.retire();
        if let Some(live) = self.vm.live() {
            live.meter().retired();
        }
    }

    /// The VM with this number has died.
    pub(crate) fn died(self: &Arc<Self>, number: u64, now: Instant) {
        let mut dead = None;
        let at_once = || self.reserve.grants_restart(now);
        let died = self.state.died(number, now, at_once, || dead = self.vm.empty());
        match died {
            None => {}
            Some(at) if at > now => self.restart(at),
            Some(_) => self.replace(now),
        }
    }

    /// Replaces a VM that died within the budget of restarts: on this thread where a spare or a snapshot is ready, so that the
    /// next request has its filter; else by a start in the background.
    fn replace(self: &Arc<Self>, now: Instant) {
        tracing::warn!(
            target: log_target::ABOUT_GUEST,
            module = self.plan.reach.module,
            filters = self.filters(),
            "restarting the VM at once"
        );
        let ready = self
            .take_spare()
            .map(|ready| ("spare", ready))
            .or_else(|| Some(("snapshot", self.continue_snapshot()?)));
        let Some((from, (supervised, vm, contexts))) = ready else {
            self.send_restart(now);
            return;
        };
        // Retired meanwhile.
        if !self.state.begin() {
            drop(vm);
            supervised.close();
            return;
        }
        self.supervisor.shared().meters().vm_restarts.increment();
        self.admit(&supervised, vm, contexts);
        tracing::info!(
            target: log_target::ABOUT_GUEST,
            module = self.plan.reach.module,
            filters = self.filters(),
            from,
            "VM restarted"
        );
        if self.plan.needs_spare() {
            self.supervisor.send(Command::StartSpare(Arc::clone(self)));
        }
    }

    /// Returns true if a spare is ready.
    #[cfg(test)]
    pub(crate) fn has_spare(&self) -> bool {
        self.reserve.is_ready()
    }

    /// Returns the names of the plan's filters, for the log.
    pub(crate) fn filters(&self) -> String {
        weir_meters::plugin_names(self.plan.plugins.iter().map(|plugin| plugin.name.as_str()))
    }

    fn restart(self: &Arc<Self>, at: Instant) {
        let pause = at.saturating_duration_since(Instant::now());
        tracing::warn!(
            target: log_target::ABOUT_GUEST,
            module = self.plan.reach.module,
            filters = self.filters(),
            "restarting the VM in {:.0} s; requests get the filter's fail policy meanwhile",
            pause.as_secs_f64()
        );
        self.send_restart(at);
    }

    fn send_restart(self: &Arc<Self>, at: Instant) {
        // Without a supervisor the process or the worker is ending.
        self.supervisor.send(Command::Restart {
            slot: Arc::clone(self),
            at,
            waiting: self.supervisor.shared().meters().restarting(),
        });
    }
}
