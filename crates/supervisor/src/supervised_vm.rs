//! One VM of the process, from the moment before its start until it is no more: its number, its mailbox, its keeper.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use weir_abi::{LogLevel, log_target};
use weir_host::{ContextId, LiveVm, QueueWaker, Vm, VmKeeper};
use weir_plan::VmPlan;

use crate::background::Background;
use crate::event::Event;
use crate::farewell::Farewell;
use crate::mailbox::{DoneWait, Mailbox};
use crate::slot::Slot;
use crate::task::{Command, Supervisor};

/// Most answers of foreign functions that a VM may wait for.
const MAX_OUTSTANDING_ANSWERS: usize = 1024;

/// One VM of the process. A guest may ask for things while its VM is still being started; their results wait in the mailbox.
pub(crate) struct SupervisedVm {
    /// Number of the VM in the process.
    pub number: u64,
    /// What the VM is made of.
    pub plan: Arc<VmPlan>,
    pub mailbox: Mailbox,
    /// The lowest level that the proxy's log keeps.
    pub log_level: fn() -> LogLevel,
    /// Unset for a spare.
    home: OnceLock<Home>,
    /// Its plugin contexts have been told to end.
    shut_down: AtomicBool,
    /// Set once its end has begun, and dropped with the last that is left of the VM: a call under way, or the VM while it waits
    /// for `proxy_done`.
    farewell: OnceLock<Farewell>,
    /// Answers of foreign functions that have not been delivered.
    answers: AtomicUsize,
    /// The log has been told that an answer was dropped.
    warned_of_no_room: AtomicBool,
    own: Weak<Self>,
}

/// Where a VM belongs.
struct Home {
    /// Index of the thread.
    thread: usize,
    supervisor: Supervisor,
    /// For each plugin of the plan, true if its ticks run in this VM.
    runs_ticks: Arc<[bool]>,
    background: Arc<Background>,
    slot: Weak<Slot>,
}

/// The right to one answer that comes later. Dropped when the answer has been delivered, or will never come.
pub(crate) struct AnswerClaim(Arc<SupervisedVm>);

impl Drop for AnswerClaim {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SupervisedVm {
    /// A VM that is about to be started for a slot.
    pub fn new(slot: &Arc<Slot>) -> Arc<Self> {
        let supervised = Self::spare(slot);
        supervised.move_in(slot);
        supervised
    }

    /// A VM that is about to be started as a spare for this slot and those beside it. What it asks for waits in its mailbox
    /// until [`SupervisedVm::move_in`].
    pub fn spare(slot: &Slot) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Arc::new_cyclic(|own| Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            plan: Arc::clone(slot.plan()),
            mailbox: Mailbox::default(),
            log_level: slot.supervisor.log_level(),
            home: OnceLock::new(),
            shut_down: AtomicBool::new(false),
            farewell: OnceLock::new(),
            answers: AtomicUsize::new(0),
            warned_of_no_room: AtomicBool::new(false),
            own: Weak::clone(own),
        })
    }

    /// The VM belongs to this slot from now on. Called once. The caller tells the supervisor of what waits in the mailbox
    /// ([`SupervisedVm::note`]) when the VM has arrived.
    pub fn move_in(&self, slot: &Arc<Slot>) {
        // A VM never moves again.
        let _ = self.home.set(Home {
            thread: slot.thread,
            supervisor: slot.supervisor.clone(),
            runs_ticks: Arc::clone(&slot.runs_ticks),
            background: Arc::clone(&slot.background),
            slot: Arc::downgrade(slot),
        });
    }

    /// Returns the index of the thread that the VM belongs to; `None` for a spare.
    pub fn thread(&self) -> Option<usize> {
        Some(self.home.get()?.thread)
    }

    /// Returns true if the ticks of the plugin with this index in the plan run in this VM.
    pub fn runs_ticks(&self, plugin: usize) -> bool {
        let here = self.home.get().and_then(|home| home.runs_ticks.get(plugin));
        here.copied().unwrap_or(false)
    }

    /// Returns the budget for what the VM does in the background; `None` for a spare, which does nothing.
    pub fn background(&self) -> Option<&Background> {
        Some(&*self.home.get()?.background)
    }

    /// The VM's thread is done with the mail. `until`: when events that were put off are to come again.
    pub fn mail_is_over(&self, until: Option<Instant>) {
        if self.mailbox.mail_is_over(until) {
            self.note();
        }
    }

    /// Tells the log, at most once a minute, that an event of a plugin was put off.
    pub fn warn_of_put_off(&self, plugin: ContextId, background: &Background, now: Instant) {
        let Some(count) = background.warn(now) else {
            return;
        };
        let live = self.mailbox.live();
        let index = live.and_then(|live| live.contexts().iter().position(|context| *context == plugin));
        let name = index.and_then(|index| self.plan.plugins.get(index));
        tracing::warn!(
            "filter {}: ticks, queue wake-ups and answers that no stream waits for use more than `limits.cpu` ({} of the thread) \
             and are put off ({count} since the last report; one report a minute)",
            name.map_or("?", |plugin| &plugin.name),
            background.share(),
        );
    }

    /// Something has happened to the VM. Called on any thread.
    pub fn happened(&self, event: Event) {
        if self.mailbox.put(event) {
            self.note();
        }
    }

    /// The VM has arrived at its slot.
    pub fn arrived(&self, live: &Arc<LiveVm>) {
        if self.mailbox.arrive(live) {
            self.note();
        }
    }

    /// The VM is dead or no more, or never came to be: its calls are cancelled, its ticks end.
    pub fn close(&self) {
        if self.mailbox.close() {
            self.note();
        }
    }

    /// No context waits for `proxy_done` any more.
    pub fn stop_awaiting_done(&self) {
        if self.mailbox.ask(|asked| asked.done = Some(DoneWait::Over)) {
            self.note();
        }
    }

    /// Claims an answer that comes later; `None` where too many are outstanding.
    pub fn claim_answer(&self) -> Option<AnswerClaim> {
        let own = self.own.upgrade()?;
        // Counted first, so that the claim gives back what was counted whichever way this ends.
        let outstanding = self.answers.fetch_add(1, Ordering::Relaxed);
        let claim = AnswerClaim(own);
        (outstanding < MAX_OUTSTANDING_ANSWERS).then_some(claim)
    }

    /// Tells the log, once, that an answer for the guest was dropped because its account is full.
    pub fn warn_of_no_room(&self) {
        if !self.warned_of_no_room.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: log_target::ABOUT_GUEST,
                module = self.plan.reach.module,
                "the host holds as much for the filter as it may (limits.host_memory, or host_memory of the process): an answer \
                 to a call was dropped (further ones are not reported)"
            );
        }
    }

    /// Tells the supervisor to look into the mailbox. A spare's is looked into once it has moved in.
    pub fn note(&self) {
        let (Some(own), Some(home)) = (self.own.upgrade(), self.home.get()) else {
            return;
        };
        if !home.supervisor.send(Command::Look(own)) {
            // Nobody looks any more: what waits would keep the VM for ever.
            let _ = self.mailbox.close();
        }
    }
}

impl QueueWaker for SupervisedVm {
    fn wake(&self, plugin: ContextId, queue: u32) {
        self.happened(Event::QueueReady { plugin, queue });
    }
}

impl VmKeeper for SupervisedVm {
    fn module(&self) -> &str {
        &self.plan.reach.module
    }

    fn died(&self) {
        self.close();
        if let Some(slot) = self.home.get().and_then(|home| home.slot.upgrade()) {
            slot.died(self.number, Instant::now());
        }
    }

    fn stream_waits(&self) {
        if self.mailbox.stream_waits() {
            self.note();
        }
    }

    fn await_done(&self, vm: &Arc<LiveVm>) {
        let begin = DoneWait::Begin(Arc::clone(vm));
        if self.mailbox.ask(|asked| asked.done = Some(begin)) {
            self.note();
        }
    }

    fn ended(&self, mut vm: Vm, contexts: Vec<ContextId>) {
        let begins_to_end = !vm.is_dead() && !self.shut_down.swap(true, Ordering::Relaxed);
        if begins_to_end && let Some(home) = self.home.get() {
            // Set once, because the end begins once.
            let _ = self.farewell.set(home.supervisor.bid_farewell());
        }
        if begins_to_end
            && vm.shutdown().is_ok()
            && vm.has_pending_done()
            && let Some(own) = self.own.upgrade()
        {
            // Ticks and results may be what its contexts wait for.
            let live = LiveVm::new(vm, contexts, own);
            self.arrived(&live);
            self.await_done(&live);
            return;
        }
        let in_good_order = !vm.is_dead();
        drop(vm);
        let note = match in_good_order {
            true => self.mailbox.finish(),
            false => self.mailbox.close(),
        };
        if note {
            self.note();
        }
    }
}
