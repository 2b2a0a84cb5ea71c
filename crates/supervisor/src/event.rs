//! Events: all that happens to a VM outside of streams, on the way to the VM's own thread.

use std::sync::Arc;
use std::time::Instant;

use weir_abi::limits::EVENTS_AT_ONCE;
use weir_host::{CallFailure, CallTicket, Charge, ContextId, LiveVm, Vm, VmError};
use weir_outbound::Answer;

use crate::mailbox::{Letter, Next};
use crate::supervised_vm::{AnswerClaim, SupervisedVm};

/// Something that happens to a VM outside of streams.
pub(crate) enum Event {
    /// An HTTP call has ended.
    HttpCallResponse {
        /// The number that the guest knows the call by.
        token: u32,
        /// The response, or the reason why there is none.
        result: Result<Answer, CallFailure>,
        /// Counts the call among those of the VM.
        ticket: CallTicket,
    },
    /// The tick period of a plugin context has passed.
    Tick {
        /// The plugin context.
        plugin: ContextId,
    },
    /// A shared queue has something for a plugin context.
    QueueReady {
        /// The plugin context.
        plugin: ContextId,
        /// The queue.
        queue: u32,
    },
    /// A foreign function answers later.
    ForeignAnswer {
        /// The plugin context that called the function.
        plugin: ContextId,
        /// The token that the function returned.
        token: u32,
        /// The answer.
        answer: Vec<u8>,
        /// Pays for the answer.
        charge: Charge,
        /// Counts the answer among those that are outstanding.
        claim: AnswerClaim,
    },
    /// Time to look for contexts that have waited for `proxy_done` long enough.
    Housekeep,
}

impl Event {
    /// Returns true if another event of the same kind for the same receiver says all that this one says, so that one of them
    /// is enough in a mailbox.
    pub(crate) fn is_covered_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tick { plugin }, Self::Tick { plugin: other }) => plugin == other,
            (
                Self::QueueReady { plugin, queue },
                Self::QueueReady {
                    plugin: other,
                    queue: same,
                },
            ) => (plugin, queue) == (other, same),
            (Self::Housekeep, Self::Housekeep) => true,
            _ => false,
        }
    }

    /// Returns the plugin that the event is for, if no stream waits for the event. It is then charged to the VM's share of the
    /// thread, and put off where that is used up.
    fn plugin_in_background(&self, vm: &mut Vm) -> Option<ContextId> {
        match self {
            Self::HttpCallResponse { token, .. } => vm.plugin_of_idle_call(*token),
            Self::Tick { plugin } | Self::QueueReady { plugin, .. } => Some(*plugin),
            Self::ForeignAnswer { plugin, .. } => (!vm.holds_stream_of(*plugin)).then_some(*plugin),
            Self::Housekeep => None,
        }
    }

    /// Calls the callback that the event is for. The error is that of [`LiveVm::enter`].
    fn deliver(self, vm: &mut Vm) -> Result<(), VmError> {
        match self {
            Self::HttpCallResponse {
                token,
                result,
                ticket,
            } => {
                // The guest may make its next call of the callback.
                drop(ticket);
                let (result, _charge) = match result {
                    Ok(Answer { response, charge }) => (Ok(response), charge),
                    Err(failure) => (Err(failure), Charge::none()),
                };
                vm.on_http_call_response(token, result)
            }
            Self::Tick { plugin } => vm.on_tick(plugin),
            Self::QueueReady { plugin, queue } => vm.on_queue_ready(plugin, queue),
            Self::ForeignAnswer {
                plugin,
                token,
                answer,
                charge: _charge,
                claim: _claim,
            } => vm.on_foreign_function(plugin, token, answer),
            Self::Housekeep => vm.housekeep(),
        }
    }
}

/// The events of one VM, on the way to its own thread. At most one exists for each VM.
pub struct Mail {
    supervised: Arc<SupervisedVm>,
    /// When the first event was delivered.
    begun: Option<Instant>,
    /// When events that were put off are to be looked at again.
    until: Option<Instant>,
}

impl Mail {
    pub(crate) const fn new(supervised: Arc<SupervisedVm>) -> Self {
        Self {
            supervised,
            begun: None,
            until: None,
        }
    }

    /// Delivers one event, or puts it off where the VM has used its share of the thread (`limits.cpu`). Called on the thread that
    /// may enter the VM. `false`: the mail is over. Events that are left come in another mail, after the thread has looked after
    /// its streams.
    ///
    /// An event for a VM that has gone is dropped; a VM that dies of the event is replaced as always.
    pub fn deliver_one(&mut self) -> bool {
        let Some(next) = self.supervised.mailbox.take_next() else {
            return false;
        };
        let now = Instant::now();
        if let Some(live) = next.live.upgrade() {
            self.deliver_to(&live, next, now);
        }
        self.begun.get_or_insert(now).elapsed() < EVENTS_AT_ONCE
    }

    /// Delivers events until the mail is over: for proxies that need nothing around each event.
    pub fn deliver(mut self) {
        while self.deliver_one() {}
    }

    fn deliver_to(&mut self, live: &LiveVm, next: Next, now: Instant) {
        let Next {
            mut letter,
            put_off_wait,
            ..
        } = next;
        live.set_put_off(put_off_wait);
        let housekeeps = matches!(letter.event, Event::Housekeep);
        let background = self.supervised.background().filter(|budget| budget.is_bounded());
        let outcome = live.enter(|vm| {
            let counted =
                background.and_then(|budget| Some((budget, letter.event.plugin_in_background(vm)?)));
            let Some((budget, plugin)) = counted else {
                letter.event.deliver(vm)?;
                return Ok(Outcome::Delivered {
                    awaits_done: housekeeps && vm.has_pending_done(),
                });
            };
            if let Err(put_off) = budget.admit(now) {
                if put_off.over_budget && !std::mem::replace(&mut letter.is_counted, true) {
                    vm.count_put_off(plugin);
                    self.supervised.warn_of_put_off(plugin, budget, now);
                }
                return Ok(Outcome::PutOff(letter, put_off.until));
            }
            let delivered = letter.event.deliver(vm);
            // Also where the VM has died of it.
            budget.charge(now, Instant::now());
            delivered?;
            Ok(Outcome::Delivered { awaits_done: false })
        });
        match outcome {
            Ok(Outcome::PutOff(letter, until)) => {
                self.until = Some(until);
                live.set_put_off(true);
                self.supervised.mailbox.put_off(letter);
            }
            Ok(Outcome::Delivered { awaits_done: true }) => {}
            _ if housekeeps => self.supervised.stop_awaiting_done(),
            _ => {}
        }
    }
}

enum Outcome {
    Delivered { awaits_done: bool },
    PutOff(Letter, Instant),
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.supervised.mail_is_over(self.until);
    }
}
