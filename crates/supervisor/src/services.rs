//! The supervisor's services for a guest: they note its requests in the VM's mailbox.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, Status};
use weir_host::{CallTicket, ContextId, HttpCall, Later, Services};

use crate::event::Event;
use crate::mailbox::Asked;
use crate::supervised_vm::SupervisedVm;

/// The services of one VM.
pub(crate) struct VmServices {
    supervised: Arc<SupervisedVm>,
    /// The token of the last answer that comes later.
    last_answer: u32,
}

impl VmServices {
    pub fn new(supervised: &Arc<SupervisedVm>) -> Self {
        Self {
            supervised: Arc::clone(supervised),
            last_answer: 0,
        }
    }
}

impl Services for VmServices {
    fn http_call(&mut self, token: u32, mut call: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        let reach = &self.supervised.plan.reach;
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
        if self.supervised.mailbox.ask(begin) {
            self.supervised.note();
        }
        Ok(())
    }

    fn http_cancel(&mut self, token: u32) {
        if self.supervised.mailbox.cancel(token) {
            self.supervised.note();
        }
    }

    fn set_tick_period(&mut self, plugin: ContextId, period: Option<Duration>) {
        if self
            .supervised
            .mailbox
            .ask(|asked| asked.set_tick(plugin, period))
        {
            self.supervised.note();
        }
    }

    fn deferred_answer(&mut self, plugin: ContextId) -> Option<Later> {
        let claim = self.supervised.claim_answer()?;
        // Never 0, which guests take for no token.
        self.last_answer = self.last_answer.checked_add(1).unwrap_or(1);
        let (token, supervised) = (self.last_answer, Arc::clone(&self.supervised));
        Some(Later::new(token, move |answer, charge| {
            supervised.happened(Event::ForeignAnswer {
                plugin,
                token,
                answer,
                charge,
                claim,
            });
        }))
    }

    fn log_level(&self) -> LogLevel {
        let floor = (self.supervised.log_level)();
        self.supervised.plan.reach.log_level.max(floor)
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        level >= (self.supervised.log_level)() && self.supervised.plan.reach.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.supervised.plan.reach.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.supervised.plan.reach.log_about(level, plugin, message);
    }
}
