//! What the proxy does for a VM: all of it is a message to the worker, because a VM is started on another thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use weir_abi::{LogLevel, Status};
use weir_host::{ContextId, HttpCall, QueueWaker, Services};
use weir_plan::Reach;

use crate::worker::Message;

/// The services of one VM.
pub(crate) struct VmServices {
    /// Number of the VM in the process.
    pub instance: u64,
    /// What its guest may reach.
    pub reach: Arc<Reach>,
    /// The worker that the VM belongs to.
    pub worker: UnboundedSender<Message>,
}

impl Services for VmServices {
    fn http_call(&mut self, token: u32, call: HttpCall) -> Result<(), Status> {
        if !self.reach.knows(&call.upstream) {
            return Err(Status::BadArgument);
        }
        let (instance, reach) = (self.instance, Arc::clone(&self.reach));
        self.worker
            .send(Message::HttpCall {
                instance,
                reach,
                token,
                call,
            })
            .map_err(|_| Status::InternalFailure)
    }

    fn set_tick_period(&mut self, plugin: ContextId, period: Option<Duration>) {
        // A worker that is gone takes the VM with it.
        let _ = self.worker.send(Message::Tick {
            instance: self.instance,
            plugin,
            period,
        });
    }

    fn log_level(&self) -> LogLevel {
        self.reach.log_level
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.reach.log(level, plugin, message);
    }
}

/// Wakes the worker of a VM when one of its queues has something.
pub(crate) struct WorkerWaker {
    /// Number of the VM in the process.
    pub instance: u64,
    /// The worker that the VM belongs to.
    pub worker: UnboundedSender<Message>,
}

impl QueueWaker for WorkerWaker {
    fn wake(&self, plugin: ContextId, queue: u32) {
        // A worker that is gone has no consumer any more.
        let _ = self.worker.send(Message::Queue {
            instance: self.instance,
            plugin,
            queue,
        });
    }
}
