//! What the plugin does for a VM as a whole: all of it is a command to the hub.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};
use weir_host::{ContextId, HttpCall, Later, QueueWaker, Services};
use weir_plan::Reach;

use crate::events::{Command, Hub};

/// The services of one VM.
pub(crate) struct VmServices {
    /// Number of the VM in the process.
    pub instance: u64,
    /// What its guest may reach.
    pub reach: Arc<Reach>,
    /// Where commands go.
    pub hub: Hub,
    /// The last token of an answer that comes later.
    pub answers: u32,
}

impl Services for VmServices {
    fn http_call(&mut self, token: u32, mut call: HttpCall) -> Result<(), Status> {
        if !self.reach.knows(&call.upstream) {
            // The C++ plugin knows no upstreams and goes by the authority; that is taken where the document lists it.
            let authority = call.headers.iter().find(|(name, _)| name == b":authority");
            match authority {
                Some((_, authority)) if self.reach.knows_by_authority(authority) => {
                    call.upstream.clone_from(authority);
                }
                _ => return Err(Status::BadArgument),
            }
        }
        self.hub.send(Command::HttpCall {
            instance: self.instance,
            reach: Arc::clone(&self.reach),
            token,
            call,
        });
        Ok(())
    }

    fn set_tick_period(&mut self, plugin: ContextId, period: Option<Duration>) {
        self.hub.send(Command::Tick {
            instance: self.instance,
            plugin,
            period,
        });
    }

    fn deferred_answer(&mut self, plugin: ContextId) -> Option<Later> {
        // Never 0, which guests take for no token.
        self.answers = self.answers.checked_add(1).unwrap_or(1);
        let (instance, function, hub) = (self.instance, self.answers, self.hub.clone());
        Some(Later::new(function, move |answer| {
            hub.send(Command::Answer {
                instance,
                plugin,
                function,
                answer,
            });
        }))
    }

    fn log_level(&self) -> LogLevel {
        self.reach.log_level.max(crate::log::log_level())
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.reach.log(level, plugin, message);
    }
}

/// Tells the hub when one of a VM's queues has something.
pub(crate) struct HubWaker {
    /// Number of the VM in the process.
    pub instance: u64,
    /// Where commands go.
    pub hub: Hub,
}

impl QueueWaker for HubWaker {
    fn wake(&self, plugin: ContextId, queue: u32) {
        self.hub.send(Command::Queue {
            instance: self.instance,
            plugin,
            queue,
        });
    }
}
