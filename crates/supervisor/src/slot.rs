//! A slot: a thread's holder of the VM of a plan, and the starts that fill it.

use std::sync::Arc;
use std::time::Instant;

use weir_config::Ticks;
use weir_host::{LiveVm, StartError, VmSlot};
use weir_plan::VmPlan;

use crate::instance::Instance;
use crate::life::{Life, Phase};
use crate::services::VmServices;
use crate::task::{Command, Supervisor};

/// A thread's holder of the VM of a plan. Its VM is replaced when it dies, with a growing pause, until the slot is retired.
pub struct Slot {
    plan: Arc<VmPlan>,
    vm: Arc<VmSlot>,
    life: Life,
    pub(crate) thread: usize,
    pub(crate) supervisor: Supervisor,
    pub(crate) runs_ticks: Arc<[bool]>,
}

impl Slot {
    /// Makes an empty slot on a thread of the supervisor's. `ticks` holds for plugins whose documents do not say.
    pub fn new(plan: &Arc<VmPlan>, supervisor: &Supervisor, thread: usize, ticks: Ticks) -> Arc<Self> {
        let runs = |own: &Option<Ticks>| own.unwrap_or(ticks) == Ticks::EveryVm || thread == 0;
        Arc::new(Self {
            plan: Arc::clone(plan),
            vm: VmSlot::new(Arc::clone(&plan.exported)),
            life: Life::default(),
            thread,
            supervisor: supervisor.clone(),
            runs_ticks: plan.identity.ticks.iter().map(runs).collect(),
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
        self.life.phase()
    }

    /// Starts a VM and lets it into the slot: from the plan's snapshot if there is one, else by the module's start functions
    /// and configuration. Blocks for as long as the guest takes, so call it on a thread that delivers no events. Does nothing
    /// where a VM lives or is being started, and in a retired slot.
    ///
    /// # Errors
    ///
    /// The VM did not start. Call [`Slot::retry`] to have the supervisor try again, or [`Slot::retire`] to leave it.
    pub fn start(self: &Arc<Self>) -> Result<(), StartError> {
        if !self.life.begin() {
            return Ok(());
        }
        let instance = Instance::new(self);
        let services = Box::new(VmServices::new(&instance));
        let started = self
            .plan
            .start(self.supervisor.shared(), services, Arc::clone(&instance) as _);
        match started {
            Ok((vm, contexts)) => {
                let live = LiveVm::new(vm, contexts, Arc::clone(&instance) as _);
                let mut old = None;
                // A slot that has been retired meanwhile does not take the VM, which ends here.
                if self
                    .life
                    .arrived(instance.number, || old = self.vm.fill(Arc::clone(&live)))
                {
                    instance.arrived(&live);
                }
                Ok(())
            }
            Err(error) => {
                instance.close();
                Err(error)
            }
        }
    }

    /// Has the supervisor start a VM after a pause, because [`Slot::start`] has failed.
    pub fn retry(self: &Arc<Self>) {
        if let Some(at) = self.life.failed(Instant::now()) {
            self.restart(at);
        }
    }

    /// Starts no more VMs. The VM that lives stays for the streams whose chains hold the slot: a stream may have begun with
    /// such a chain and come to this filter later. The VM ends with the last of them.
    pub fn retire(&self) {
        self.life.retire();
        if let Some(live) = self.vm.live() {
            live.meter().retired();
        }
    }

    /// The VM with this number has died.
    pub(crate) fn died(self: &Arc<Self>, number: u64, now: Instant) {
        let mut dead = None;
        if let Some(at) = self.life.died(number, now, || dead = self.vm.empty()) {
            self.restart(at);
        }
    }

    fn restart(self: &Arc<Self>, at: Instant) {
        let pause = at.saturating_duration_since(Instant::now());
        tracing::warn!(
            module = self.plan.reach.module,
            "restarting the VM in {:.0} s; requests get the filter's fail policy meanwhile",
            pause.as_secs_f64()
        );
        // Without a supervisor the process or the worker is ending.
        self.supervisor.send(Command::Restart {
            slot: Arc::clone(self),
            at,
            waiting: self.supervisor.shared().meters().restarting(),
        });
    }
}
