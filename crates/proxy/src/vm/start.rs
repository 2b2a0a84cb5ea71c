//! Starting VMs, off the worker: it may take as long as compiling Python's standard library takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use weir_host::{ContextId, Shared, StartError, Vm};
use weir_plan::VmPlan;

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
    let services = VmServices {
        instance,
        reach: Arc::clone(&plan.reach),
        worker: worker.clone(),
    };
    let waker = WorkerWaker {
        instance,
        worker: worker.clone(),
    };
    match plan.start(shared, Box::new(services), Arc::new(waker)) {
        Ok((vm, contexts)) => Ok(StartedVm {
            instance,
            vm,
            contexts,
        }),
        Err(error) => {
            // Nobody listens any more if the worker is gone.
            let _ = worker.send(Message::Gone { instance });
            Err(error)
        }
    }
}
