//! Starting VMs, off the worker: it may take as long as compiling Python's standard library takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use weir_host::{ContextId, Shared, StartError, Vm};

use crate::snapshot::VmPlan;
use crate::vm::services::{VmServices, WorkerWaker};
use crate::worker::Message;

/// A VM that has been started and configured, on its way to its worker.
pub(crate) struct StartedVm {
    /// Number of the VM in the process.
    pub instance: u64,
    /// The VM.
    pub vm: Vm,
    /// Its plugin contexts, in the order of the plan.
    pub contexts: Vec<ContextId>,
}

/// Starts a VM of a plan for a worker. Where that fails, the worker is told to forget what the VM had begun.
pub(crate) fn start(
    plan: &VmPlan,
    shared: &Shared,
    worker: &UnboundedSender<Message>,
) -> Result<StartedVm, StartError> {
    static INSTANCES: AtomicU64 = AtomicU64::new(1);
    let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
    let started = try_start(plan, shared, worker, instance);
    if started.is_err() {
        // Nobody listens any more if the worker is gone.
        let _ = worker.send(Message::Gone { instance });
    }
    started
}

fn try_start(
    plan: &VmPlan,
    shared: &Shared,
    worker: &UnboundedSender<Message>,
    instance: u64,
) -> Result<StartedVm, StartError> {
    let services = VmServices {
        instance,
        reach: Arc::clone(&plan.reach),
        worker: Some(worker.clone()),
    };
    let waker = WorkerWaker {
        instance,
        worker: worker.clone(),
    };
    let mut vm = Vm::start(
        Arc::clone(&plan.spec),
        shared,
        Box::new(services),
        Arc::new(waker),
    )?;
    plan.set_exports(|callback| vm.has(callback));
    let contexts = plan
        .plugins
        .iter()
        .map(|plugin| vm.add_plugin(Arc::clone(plugin)))
        .collect::<Result<_, _>>()?;
    Ok(StartedVm {
        instance,
        vm,
        contexts,
    })
}

/// Starts a VM of a plan, and throws it away.
pub(crate) fn canary(plan: &VmPlan, shared: &Shared) -> Result<(), StartError> {
    let services = VmServices {
        instance: 0,
        reach: Arc::clone(&plan.reach),
        worker: None,
    };
    Vm::canary(&plan.spec, &plan.plugins, shared, Box::new(services))
}
