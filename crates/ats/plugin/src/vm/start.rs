//! Starting VMs, off the server's threads: it may take as long as compiling Python's standard library takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_host::{Shared, StartError};

use crate::events::{Command, Hub};
use crate::vm::place::Place;
use crate::vm::services::{HubWaker, VmServices};

/// Starts the VM of a place and puts it there.
pub(crate) fn start(place: &Arc<Place>, shared: &Shared, hub: &Hub) -> Result<(), StartError> {
    static INSTANCES: AtomicU64 = AtomicU64::new(1);
    let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
    let services = VmServices {
        instance,
        reach: Arc::clone(&place.plan.reach),
        hub: hub.clone(),
        answers: 0,
    };
    let waker = HubWaker {
        instance,
        hub: hub.clone(),
    };
    hub.send(Command::Starting { instance });
    match place.plan.start(shared, Box::new(services), Arc::new(waker)) {
        Ok((vm, contexts)) => {
            place.install(instance, vm, contexts);
            Ok(())
        }
        Err(error) => {
            // What it had begun by then comes to nothing.
            hub.send(Command::Gone { instance });
            Err(error)
        }
    }
}
