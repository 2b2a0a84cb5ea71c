//! The supervisor's services for a guest: they note its requests in the VM's mailbox.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};
use weir_host::{CallTicket, ContextId, HttpCall, Later, Services};

use crate::event::Event;
use crate::instance::Instance;
use crate::mailbox::Asked;

/// The services of one VM.
pub(crate) struct VmServices {
    instance: Arc<Instance>,
    /// The token of the last answer that comes later.
    last_answer: u32,
}

impl VmServices {
    pub fn new(instance: &Arc<Instance>) -> Self {
        Self {
            instance: Arc::clone(instance),
            last_answer: 0,
        }
    }
}

impl Services for VmServices {
    fn http_call(&mut self, token: u32, mut call: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        let reach = &self.instance.plan.reach;
        if !reach.knows(&call.upstream) {
            // The C++ plugin knows no upstreams and goes by the authority; `call_by_authority` allows that for authorities
            // that the document lists.
            let authority = call.headers.iter().find(|(name, _)| name == b":authority");
            match authority {
                Some((_, authority)) if reach.knows_by_authority(authority) => {
                    call.upstream.clone_from(authority);
                }
                _ => return Err(Status::BadArgument),
            }
        }
        let begin = |asked: &mut Asked| asked.calls.push((token, call, ticket));
        if self.instance.mailbox.ask(begin) {
            self.instance.note();
        }
        Ok(())
    }

    fn http_cancel(&mut self, token: u32) {
        if self.instance.mailbox.cancel(token) {
            self.instance.note();
        }
    }

    fn set_tick_period(&mut self, plugin: ContextId, period: Option<Duration>) {
        if self.instance.mailbox.ask(|asked| asked.set_tick(plugin, period)) {
            self.instance.note();
        }
    }

    fn deferred_answer(&mut self, plugin: ContextId) -> Option<Later> {
        let claim = self.instance.claim_answer()?;
        // Never 0, which guests take for no token.
        self.last_answer = self.last_answer.checked_add(1).unwrap_or(1);
        let (token, instance) = (self.last_answer, Arc::clone(&self.instance));
        Some(Later::new(token, move |answer, charge| {
            instance.happened(Event::ForeignAnswer {
                plugin,
                token,
                answer,
                charge,
                claim,
            });
        }))
    }

    fn log_level(&self) -> LogLevel {
        let floor = (self.instance.log_level)();
        self.instance.plan.reach.log_level.max(floor)
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        level >= (self.instance.log_level)() && self.instance.plan.reach.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.instance.plan.reach.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.instance.plan.reach.log_about(level, plugin, message);
    }
}
