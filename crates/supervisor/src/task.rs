//! The supervisor: what VMs wait for, and the one loop that waits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use weir_abi::limits::{DONE_WAIT, MIN_TICK_PERIOD};
use weir_abi::{LogLevel, log_target};
use weir_host::{CallTicket, ContextId, HttpCall, LiveVm, Shared};
use weir_meters::Restarting;
use weir_outbound::{HttpCaller, NO_ROOM};

use crate::event::{Event, Mail};
use crate::farewell::{Farewell, Farewells};
use crate::mailbox::{Asked, DoneWait};
use crate::slot::Slot;
use crate::slot_state::Phase;
use crate::supervised_vm::SupervisedVm;
use crate::timers::{TimerKey, Timers};

/// How often a VM is asked whether the `proxy_done` that it waits for has come.
const DONE_CHECK: Duration = Duration::from_millis(250);

/// What differs between proxies: the threads that VMs belong to. Called on the supervisor's thread alone, never from inside
/// of a VM.
pub trait VmThreads {
    /// Gives a mail to the thread with this index, which opens it when it may enter its VMs. A proxy whose supervisor runs on
    /// the only thread of its VMs delivers the mail at once.
    fn post(&self, thread: usize, mail: Mail);

    /// Returns true if streams of the thread wait for their filters. Ticks of plugins with `ticks: one_vm` then run there too,
    /// because a tick may be what the streams wait for.
    fn has_waiting(&self, thread: usize) -> bool;
}

/// The way to a supervisor, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    commands: UnboundedSender<Command>,
    shared: Shared,
    log_level: fn() -> LogLevel,
    farewells: Arc<Farewells>,
}

/// What a supervisor is told. The channel has no bound of its own and needs none: each VM has at most one `Look` in it (a
/// spare that has just taken over one more), each slot at most one `Restart`, and each death within the budget of restarts
/// one `StartSpare`.
pub(crate) enum Command {
    /// The mailbox of a VM has something.
    Look(Arc<SupervisedVm>),
    /// A slot is to get a VM at this time.
    Restart {
        slot: Arc<Slot>,
        at: Instant,
        waiting: Restarting,
    },
    /// The plan of a slot is to get a spare, if it needs one and has none.
    StartSpare(Arc<Slot>),
}

/// The work of a supervisor: [`SupervisorTask::run`] is to run for as long as VMs live.
pub struct SupervisorTask {
    commands: UnboundedReceiver<Command>,
}

impl Supervisor {
    /// Makes a supervisor and its task. VMs share `shared`; `log_level` returns the lowest level that the proxy's log keeps at
    /// the moment, so that guests need not format lines that nobody sees.
    pub fn new(shared: Shared, log_level: fn() -> LogLevel) -> (Self, SupervisorTask) {
        let (sender, commands) = unbounded_channel();
        let inner = Inner {
            commands: sender,
            shared,
            log_level,
            farewells: Arc::default(),
        };
        (Self(Arc::new(inner)), SupervisorTask { commands })
    }

    /// Returns what the VMs share.
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Waits until every VM whose end has begun is no more, and its last calls are over. A proxy that ends calls this after it has
    /// emptied the slots, while the task still runs, and bounds the wait.
    pub async fn farewells(&self) {
        self.0.farewells.over().await;
    }

    /// The end of a VM begins.
    pub(crate) fn bid_farewell(&self) -> Farewell {
        self.0.farewells.begin()
    }

    pub(crate) fn log_level(&self) -> fn() -> LogLevel {
        self.0.log_level
    }

    /// Sends a command. `false`: the task has ended, and nothing will be done.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.0.commands.send(command).is_ok()
    }
}

impl SupervisorTask {
    /// Waits for whatever VMs wait for, and posts their events to `threads`. Runs inside of a tokio `LocalSet`, with timers and
    /// I/O enabled, until every [`Supervisor`] and every VM has gone. Starts of VMs run on tokio's blocking threads.
    pub async fn run(mut self, threads: impl VmThreads) {
        let mut waiting = Waiting {
            threads,
            timers: Timers::default(),
            instances: HashMap::new(),
        };
        loop {
            let next = waiting.timers.next();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            let command = tokio::select! {
                command = self.commands.recv() => match command {
                    None => return,
                    command => command,
                },
                () = due => None,
            };
            // A bug that shows in one event must not end all ticks and calls.
            let turn = || match command {
                Some(command) => waiting.take(command),
                None => waiting.fire(tokio::time::Instant::now().into_std()),
            };
            if catch_unwind(AssertUnwindSafe(turn)).is_err() {
                tracing::error!("internal error while handling an event of a VM (please report)");
            }
            // One event a turn: where the supervisor runs on the VMs' own thread, streams that are ready go first.
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for SupervisorTask {
    /// A mailbox that nobody looks into any more would keep a VM that waits for `proxy_done`, and the VM its mailbox.
    fn drop(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Look(supervised) = command {
                supervised.close();
            }
        }
    }
}

/// What is being waited for.
struct Waiting<T> {
    threads: T,
    timers: Timers<Timer>,
    /// VMs that have asked for something, by their numbers.
    instances: HashMap<u64, Watched>,
}

enum Timer {
    /// Ticks of a plugin context of a VM.
    Tick(u64, ContextId),
    /// Look whether `proxy_done` has come.
    DoneCheck(u64),
    /// Look for events that were put off.
    Retry(u64),
    /// Start a VM.
    Restart(Arc<Slot>, Restarting),
}

/// What one VM waits for.
struct Watched {
    supervised: Arc<SupervisedVm>,
    /// The VM has arrived at its slot; its ticks begin then.
    arrived: bool,
    ticks: HashMap<ContextId, Tick>,
    calls: Rc<RefCell<HashMap<u32, AbortHandle>>>,
    caller: Option<HttpCaller>,
    done: Option<AwaitedDone>,
    /// When to look for events that were put off.
    retry: Option<TimerKey>,
}

struct Tick {
    period: Duration,
    /// Unset before the VM has arrived.
    timer: Option<TimerKey>,
}

struct AwaitedDone {
    /// Keeps the VM.
    _live: Arc<LiveVm>,
    until: Instant,
    timer: TimerKey,
}

impl<T: VmThreads> Waiting<T> {
    fn take(&mut self, command: Command) {
        match command {
            Command::Look(supervised) => self.look(&supervised),
            Command::Restart { slot, at, waiting } => {
                self.timers.set(at, Timer::Restart(slot, waiting));
            }
            Command::StartSpare(slot) => start_spare(slot),
        }
    }

    /// Does what was due first.
    fn fire(&mut self, now: Instant) {
        match self.timers.take_due(now) {
            Some(Timer::Tick(number, plugin)) => self.tick(number, plugin, now),
            Some(Timer::DoneCheck(number)) => self.check_done(number, now),
            Some(Timer::Retry(number)) => self.retry(number),
            Some(Timer::Restart(slot, waiting)) => restart(slot, waiting),
            None => {}
        }
    }

    /// Looks into the mailbox of a VM.
    fn look(&mut self, supervised: &Arc<SupervisedVm>) {
        let now = tokio::time::Instant::now().into_std();
        let look = supervised.mailbox.look(now);
        if look.closed {
            match look.finished {
                true => self.part(supervised, look.asked),
                false => self.forget(supervised.number),
            }
            return;
        }
        let watched = self
            .instances
            .entry(supervised.number)
            .or_insert_with(|| Watched::new(supervised));
        for (plugin, period) in look.asked.ticks {
            watched.set_tick(plugin, period, now, &mut self.timers);
        }
        if look.live.is_some() && !watched.arrived {
            watched.arrived = true;
            watched.begin_ticks(now, &mut self.timers);
        }
        for (token, call, ticket) in look.asked.calls {
            watched.call(token, call, ticket);
        }
        for token in look.asked.cancelled {
            // The task drops its connection, or its stream on one, and with it the request.
            if let Some(call) = watched.calls.borrow_mut().remove(&token) {
                call.abort();
            }
        }
        watched.retry_at(look.retry_at, &mut self.timers);
        let done = match look.asked.done {
            Some(DoneWait::Begin(live)) => watched.await_done(live, now, &mut self.timers),
            Some(DoneWait::Over) => watched.stop_awaiting_done(&mut self.timers),
            None => None,
        };
        if look.post {
            // A VM that has arrived has a thread.
            if let Some(thread) = supervised.thread() {
                self.threads.post(thread, Mail::new(Arc::clone(supervised)));
            }
        }
        // The last owner of a VM runs its guest's end.
        drop(done);
    }

    /// A VM is dead or no more, or never came to be: cancels its calls, ends its ticks.
    fn forget(&mut self, number: u64) {
        let Some(mut watched) = self.instances.remove(&number) else {
            return;
        };
        let ticks = watched.ticks.values().filter_map(|tick| tick.timer);
        for timer in ticks.chain(watched.retry) {
            self.timers.cancel(timer);
        }
        let done = watched.stop_awaiting_done(&mut self.timers);
        for call in watched.calls.borrow().values() {
            call.abort();
        }
        drop(done);
    }

    /// A VM has ended in good order: its ticks end, and its calls go on although nobody waits for their answers. A filter that
    /// collects what it has to report sends the rest when it ends.
    fn part(&mut self, supervised: &Arc<SupervisedVm>, asked: Asked) {
        let watched = self
            .instances
            .entry(supervised.number)
            .or_insert_with(|| Watched::new(supervised));
        for (token, call, ticket) in asked.calls {
            watched.call(token, call, ticket);
        }
        for token in asked.cancelled {
            if let Some(call) = watched.calls.borrow_mut().remove(&token) {
                call.abort();
            }
        }
        watched.calls.borrow_mut().clear();
        self.forget(supervised.number);
    }

    /// Ticks of a plugin context run in the VM that the document asks for; in others while streams wait for their filters.
    fn tick(&mut self, number: u64, plugin: ContextId, now: Instant) {
        let Some(watched) = self.instances.get_mut(&number) else {
            return;
        };
        let supervised = Arc::clone(&watched.supervised);
        let Some(tick) = watched.ticks.get_mut(&plugin) else {
            return;
        };
        tick.timer = Some(self.timers.set(now + tick.period, Timer::Tick(number, plugin)));
        let index = supervised
            .mailbox
            .live()
            .and_then(|live| live.contexts().iter().position(|context| *context == plugin));
        let runs_here = index.is_some_and(|index| supervised.runs_ticks(index));
        let is_awaited = |thread| self.threads.has_waiting(thread);
        if runs_here || supervised.thread().is_some_and(is_awaited) {
            // A guest that is slower than its own tick finds one in the mailbox, not a pile of them.
            self.deliver(&supervised, Event::Tick { plugin });
        }
    }

    fn retry(&mut self, number: u64) {
        let Some(watched) = self.instances.get_mut(&number) else {
            return;
        };
        watched.retry = None;
        let supervised = Arc::clone(&watched.supervised);
        self.look(&supervised);
    }

    fn check_done(&mut self, number: u64, now: Instant) {
        let Some(watched) = self.instances.get_mut(&number) else {
            return;
        };
        let supervised = Arc::clone(&watched.supervised);
        let Some(done) = &mut watched.done else {
            return;
        };
        if now > done.until {
            let over = watched.done.take();
            drop(over);
            return;
        }
        done.timer = self.timers.set(now + DONE_CHECK, Timer::DoneCheck(number));
        self.deliver(&supervised, Event::Housekeep);
    }

    fn deliver(&mut self, supervised: &Arc<SupervisedVm>, event: Event) {
        if supervised.mailbox.put(event) {
            self.look(supervised);
        }
    }
}

impl Watched {
    fn new(supervised: &Arc<SupervisedVm>) -> Self {
        Self {
            supervised: Arc::clone(supervised),
            arrived: false,
            ticks: HashMap::new(),
            calls: Rc::default(),
            caller: None,
            done: None,
            retry: None,
        }
    }

    /// Looks again at this time, and at no other, for events that were put off.
    fn retry_at(&mut self, at: Option<Instant>, timers: &mut Timers<Timer>) {
        if self.retry.map(|(at, _)| at) != at {
            if let Some(old) = self.retry.take() {
                timers.cancel(old);
            }
            self.retry = at.map(|at| timers.set(at, Timer::Retry(self.supervised.number)));
        }
    }

    fn set_tick(
        &mut self,
        plugin: ContextId,
        period: Option<Duration>,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) {
        if let Some(timer) = self.ticks.remove(&plugin).and_then(|old| old.timer) {
            timers.cancel(timer);
        }
        let Some(period) = period else {
            return;
        };
        let period = period.max(MIN_TICK_PERIOD);
        let begin = || timers.set(now + period, Timer::Tick(self.supervised.number, plugin));
        let timer = self.arrived.then(begin);
        self.ticks.insert(plugin, Tick { period, timer });
    }

    fn begin_ticks(&mut self, now: Instant, timers: &mut Timers<Timer>) {
        for (plugin, tick) in &mut self.ticks {
            let timer = Timer::Tick(self.supervised.number, *plugin);
            tick.timer = Some(timers.set(now + tick.period, timer));
        }
    }

    fn call(&mut self, token: u32, call: HttpCall, ticket: CallTicket) {
        let caller = self
            .caller
            .get_or_insert_with(|| self.supervised.plan.reach.caller());
        let calling = caller.clone().call(call, ticket.clone());
        let (supervised, calls) = (Arc::clone(&self.supervised), Rc::clone(&self.calls));
        let task = tokio::task::spawn_local(async move {
            let result = calling.await;
            calls.borrow_mut().remove(&token);
            if let Err(failure) = &result
                && failure.reason == NO_ROOM
            {
                supervised.warn_of_no_room();
            }
            supervised.happened(Event::HttpCallResponse {
                token,
                result,
                ticket,
            });
        });
        self.calls.borrow_mut().insert(token, task.abort_handle());
    }

    /// Begins to wait for `proxy_done`, or waits anew. Returns what is to be dropped.
    fn await_done(
        &mut self,
        live: Arc<LiveVm>,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) -> Option<AwaitedDone> {
        let old = self.stop_awaiting_done(timers);
        self.done = Some(AwaitedDone {
            _live: live,
            until: now + DONE_WAIT + DONE_CHECK,
            timer: timers.set(now + DONE_CHECK, Timer::DoneCheck(self.supervised.number)),
        });
        old
    }

    /// Waits no longer. Returns what is to be dropped.
    fn stop_awaiting_done(&mut self, timers: &mut Timers<Timer>) -> Option<AwaitedDone> {
        let old = self.done.take()?;
        timers.cancel(old.timer);
        Some(old)
    }
}

/// Starts a spare elsewhere, if the slot's plan needs one and has none.
fn start_spare(slot: Arc<Slot>) {
    tokio::task::spawn_local(async move {
        // The log has been told how it ended.
        let _ = tokio::task::spawn_blocking(move || slot.start_spare()).await;
    });
}

/// Starts a VM elsewhere, when its time has come.
fn restart(slot: Arc<Slot>, waiting: Restarting) {
    slot.supervisor.shared().meters().vm_restarts.increment();
    tokio::task::spawn_local(async move {
        let starting = Arc::clone(&slot);
        let started = tokio::task::spawn_blocking(move || starting.start()).await;
        let module = &slot.plan().reach.module;
        match started {
            Ok(Ok(())) => {
                if matches!(slot.phase(), Phase::Live(_)) {
                    tracing::info!(target: log_target::ABOUT_GUEST, module, filters = slot.filters(), "VM restarted");
                }
                start_spare(slot);
                return;
            }
            Ok(Err(error)) => {
                tracing::error!(target: log_target::ABOUT_GUEST, module, filters = slot.filters(), "{error}");
            }
            Err(error) => {
                let filters = slot.filters();
                tracing::error!(target: log_target::ABOUT_GUEST, module, filters, "starting a VM failed: {error}");
            }
        }
        // Counted on by the next wait.
        slot.retry();
        drop(waiting);
    });
}
