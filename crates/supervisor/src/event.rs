//! Events: all that happens to a VM outside of streams, on the way to the VM's own thread.

use std::sync::{Arc, Weak};

use weir_host::{CallFailure, CallTicket, Charge, ContextId, LiveVm, Vm, VmError};
use weir_outbound::Answer;

use crate::instance::{AnswerClaim, Instance};

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
pub struct Mail(pub(crate) Arc<Instance>);

/// One event, ready to be delivered.
pub struct Delivery {
    instance: Arc<Instance>,
    live: Weak<LiveVm>,
    event: Event,
}

impl Mail {
    /// Takes the events that are there now, in the order in which they came. Called on the thread that may enter the VM, which
    /// then calls [`Delivery::deliver`] for each. Events that come later make another mail.
    pub fn open(self) -> impl Iterator<Item = Delivery> {
        let (live, events) = self.0.mailbox.open();
        let instance = self.0;
        events.into_iter().map(move |event| Delivery {
            instance: Arc::clone(&instance),
            live: live.clone(),
            event,
        })
    }

    /// Delivers all events: [`Mail::open`] for proxies that need nothing around each event.
    pub fn deliver(self) {
        self.open().for_each(Delivery::deliver);
    }
}

impl Delivery {
    /// Calls the guest. An event for a VM that has gone is dropped; a VM that dies of the event is replaced as always.
    pub fn deliver(self) {
        let Some(live) = self.live.upgrade() else {
            return;
        };
        let housekeeps = matches!(self.event, Event::Housekeep);
        let outcome = live.enter(|vm| {
            self.event.deliver(vm)?;
            Ok(housekeeps && vm.has_pending_done())
        });
        if housekeeps && outcome != Ok(true) {
            self.instance.stop_awaiting_done();
        }
    }
}
