//! Trying a VM: it is started, configured and thrown away.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};
use weir_host::{CallTicket, CanaryRefusal, ContextId, HttpCall, Services, Shared, Vm};

use crate::reach::Reach;
use crate::vm::VmPlan;

/// Starts a VM of a plan, and throws it away.
pub(crate) fn run(plan: &VmPlan, shared: &Shared) -> Result<(), CanaryRefusal> {
    let services = Canary(Arc::clone(&plan.reach));
    Vm::canary(&plan.spec, &plan.plugins, shared, Box::new(services))
}

/// The services of a VM that is thrown away, or frozen: it may talk, but nothing that it begins ever ends.
pub(crate) struct Canary(pub Arc<Reach>);

impl Services for Canary {
    fn http_call(&mut self, _token: u32, call: HttpCall, _ticket: CallTicket) -> Result<(), Status> {
        if self.0.knows(&call.upstream) {
            Ok(())
        } else {
            Err(Status::BadArgument)
        }
    }

    fn set_tick_period(&mut self, _plugin: ContextId, _period: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        self.0.log_level
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        self.0.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.0.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.0.log_about(level, plugin, message);
    }
}
