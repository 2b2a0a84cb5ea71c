//! What happens to VMs outside of streams: results of HTTP calls, ticks, queues, restarts. A thread of ours waits for all
//! of it, and leaves it in the mailbox of the net thread that the VM belongs to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::MissedTickBehavior;
use weir_abi::limits::{DONE_WAIT, MIN_TICK_PERIOD};
use weir_host::{CallFailure, ContextId, HttpCall, HttpCallResponse, Shared, Vm};
use weir_outbound::Caller;
use weir_plan::Reach;

use crate::txn::wake::Wakeup;
use crate::vm::place::{DONE_CHECK, Live, Place};
use crate::vm::start;

/// How long to wait until it is looked again whether a transaction is still being worked on.
const WAKE_PAUSE: Duration = Duration::from_millis(1);

/// The way to the thread that waits. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub(UnboundedSender<Command>);

/// Something to wait for, or to take note of.
pub(crate) enum Command {
    /// A VM is about to be started, and may ask for things from now on.
    Starting { instance: u64 },
    /// A VM has come to its place.
    Arrived { live: Weak<Live>, instance: u64 },
    /// A guest begins an HTTP call.
    HttpCall {
        instance: u64,
        reach: Arc<Reach>,
        token: u32,
        call: HttpCall,
    },
    /// A guest sets or ends its tick.
    Tick {
        instance: u64,
        plugin: ContextId,
        period: Option<Duration>,
    },
    /// A queue has something for a guest.
    Queue {
        instance: u64,
        plugin: ContextId,
        queue: u32,
    },
    /// Something that a foreign function was asked for has come.
    Answer {
        instance: u64,
        plugin: ContextId,
        function: u32,
        answer: Vec<u8>,
    },
    /// A VM is no more, or never came to be.
    Gone { instance: u64 },
    /// A VM has died.
    Revive { place: Arc<Place> },
    /// A context waits for `proxy_done`.
    AwaitDone { live: Arc<Live> },
    /// A transaction is to be woken that another thread is working on.
    Wake(Arc<Wakeup>),
}

/// Something that has happened to a VM, for its net thread.
pub(crate) struct Event {
    live: Weak<Live>,
    what: What,
}

enum What {
    HttpCall(u32, Result<HttpCallResponse, CallFailure>),
    Tick(ContextId, Arc<AtomicBool>),
    Queue(ContextId, u32),
    Answer(ContextId, u32, Vec<u8>),
    Housekeep,
}

impl Event {
    /// Carries it out. On the net thread of the VM, under its lock.
    pub fn deliver(self) {
        let Some(live) = self.live.upgrade() else {
            return;
        };
        // A VM that dies of it has been taken care of.
        let _ = match self.what {
            What::HttpCall(token, result) => live.enter(|vm| vm.on_http_call_response(token, result)),
            What::Tick(plugin, waiting) => {
                waiting.store(false, Ordering::Release);
                live.enter(|vm| vm.on_tick(plugin))
            }
            What::Queue(plugin, queue) => live.enter(|vm| vm.on_queue_ready(plugin, queue)),
            What::Answer(plugin, function, answer) => {
                live.enter(|vm| vm.on_foreign_function(plugin, function, answer))
            }
            What::Housekeep => live.enter(Vm::housekeep),
        };
    }
}

impl Hub {
    /// Starts the thread.
    pub fn start(shared: Shared) -> std::io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let hub = Self(sender);
        let own = hub.clone();
        std::thread::Builder::new()
            .name("weir".to_owned())
            .spawn(move || run(receiver, own, shared))?;
        Ok(hub)
    }

    /// Hands over a command. The thread lives as long as the process; should it have died, so has all that it waited for.
    pub fn send(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

fn run(commands: UnboundedReceiver<Command>, hub: Hub, shared: Shared) {
    // SAFETY: makes this thread one that may leave events for the server's threads; nothing else is asked of it.
    unsafe { weir_ats_sys::TSThreadInit() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("weir-start")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("HTTP calls and ticks of filters will not work: {error}");
            return;
        }
    };
    let waiting = Rc::new(Waiting {
        instances: RefCell::default(),
        hub,
        shared,
    });
    LocalSet::new().block_on(&runtime, waiting.serve(commands));
}

/// What is being waited for.
struct Waiting {
    instances: RefCell<HashMap<u64, Instance>>,
    hub: Hub,
    shared: Shared,
}

/// A VM may begin calls and ticks while it is still being started; what comes of them waits for it.
#[derive(Default)]
struct Instance {
    /// Unset while the VM is being started.
    live: Option<Weak<Live>>,
    /// What came before the VM did.
    early: Vec<What>,
    ticks: HashMap<ContextId, Tick>,
    calls: HashMap<u32, AbortHandle>,
    caller: Option<Caller>,
}

struct Tick {
    period: Duration,
    task: Option<AbortHandle>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let ticks = self.ticks.values().filter_map(|tick| tick.task.as_ref());
        for task in ticks.chain(self.calls.values()) {
            task.abort();
        }
    }
}

impl Waiting {
    async fn serve(self: Rc<Self>, mut commands: UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            let own = Rc::clone(&self);
            // A bug that shows in one command must not end all ticks and calls.
            crate::guard::catch(move || own.take(command));
        }
    }

    fn take(self: &Rc<Self>, command: Command) {
        match command {
            Command::Starting { instance } => {
                self.instances.borrow_mut().entry(instance).or_default();
            }
            Command::Arrived { live, instance } => self.arrived(live, instance),
            Command::HttpCall {
                instance,
                reach,
                token,
                call,
            } => self.http_call(instance, &reach, token, call),
            Command::Tick {
                instance,
                plugin,
                period,
            } => self.tick(instance, plugin, period),
            Command::Queue {
                instance,
                plugin,
                queue,
            } => self.happened(instance, What::Queue(plugin, queue)),
            Command::Answer {
                instance,
                plugin,
                function,
                answer,
            } => self.happened(instance, What::Answer(plugin, function, answer)),
            Command::Gone { instance } => {
                let gone = self.instances.borrow_mut().remove(&instance);
                drop(gone);
            }
            Command::Revive { place } => {
                tokio::task::spawn_local(bring_back(place, self.shared.clone(), self.hub.clone()));
            }
            Command::AwaitDone { live } => {
                tokio::task::spawn_local(await_done(live));
            }
            Command::Wake(wakeup) => {
                tokio::task::spawn_local(async move {
                    while !wakeup.try_schedule() {
                        tokio::time::sleep(WAKE_PAUSE).await;
                    }
                });
            }
        }
    }

    fn arrived(self: &Rc<Self>, live: Weak<Live>, instance: u64) {
        let (early, ticks) = {
            let mut instances = self.instances.borrow_mut();
            let entry = instances.entry(instance).or_default();
            entry.live = Some(live);
            let ticks: Vec<_> = entry
                .ticks
                .iter()
                .map(|(plugin, tick)| (*plugin, tick.period))
                .collect();
            (std::mem::take(&mut entry.early), ticks)
        };
        for what in early {
            self.happened(instance, what);
        }
        for (plugin, period) in ticks {
            self.tick(instance, plugin, Some(period));
        }
    }

    fn http_call(self: &Rc<Self>, instance: u64, reach: &Arc<Reach>, token: u32, call: HttpCall) {
        let caller = {
            let mut instances = self.instances.borrow_mut();
            let Some(entry) = instances.get_mut(&instance) else {
                return;
            };
            entry.caller.get_or_insert_with(|| reach.caller()).clone()
        };
        let calling = caller.call(call);
        let own = Rc::clone(self);
        let task = tokio::task::spawn_local(async move {
            let result = calling.await;
            if let Some(entry) = own.instances.borrow_mut().get_mut(&instance) {
                entry.calls.remove(&token);
            }
            own.happened(instance, What::HttpCall(token, result));
        });
        if let Some(entry) = self.instances.borrow_mut().get_mut(&instance) {
            entry.calls.insert(token, task.abort_handle());
        }
    }

    fn tick(self: &Rc<Self>, instance: u64, plugin: ContextId, period: Option<Duration>) {
        let mut instances = self.instances.borrow_mut();
        let Some(entry) = instances.get_mut(&instance) else {
            return;
        };
        if let Some(old) = entry.ticks.remove(&plugin)
            && let Some(task) = old.task
        {
            task.abort();
        }
        let Some(period) = period else {
            return;
        };
        // Whose ticks these are is known once the VM has come.
        let task = entry.live.clone().map(|live| {
            tokio::task::spawn_local(ticking(live, plugin, period.max(MIN_TICK_PERIOD))).abort_handle()
        });
        entry.ticks.insert(plugin, Tick { period, task });
    }

    /// Leaves an event for the VM's net thread.
    fn happened(&self, instance: u64, what: What) {
        let live = {
            let mut instances = self.instances.borrow_mut();
            // What comes for one that is no more would be kept for ever.
            let Some(entry) = instances.get_mut(&instance) else {
                return;
            };
            match &entry.live {
                Some(live) => live.clone(),
                None => {
                    entry.early.push(what);
                    return;
                }
            }
        };
        if let Some(running) = live.upgrade() {
            running.thread.post(Event { live, what });
        }
    }
}

/// Ticks of a plugin context. By default they run in one VM of the plugin; in the others while transactions wait for their
/// filters, because a tick may be what they wait for.
async fn ticking(live: Weak<Live>, plugin: ContextId, period: Duration) {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let in_mail = Arc::new(AtomicBool::new(false));
    loop {
        interval.tick().await;
        let Some(running) = live.upgrade() else {
            return;
        };
        if !(running.runs_ticks_of(plugin) || running.thread.has_waiting()) {
            continue;
        }
        // A guest that is slower than its own tick must not find a pile of them.
        if !in_mail.swap(true, Ordering::AcqRel) {
            running.thread.post(Event {
                live: live.clone(),
                what: What::Tick(plugin, Arc::clone(&in_mail)),
            });
        }
    }
}

async fn bring_back(place: Arc<Place>, shared: Shared, hub: Hub) {
    let module = place.plan.reach.module.clone();
    let _restarting = shared.meters().restarting();
    loop {
        let at = place.next_attempt();
        tracing::warn!(module, after = ?at.saturating_duration_since(Instant::now()), "VM will be started again");
        tokio::time::sleep_until(at.into()).await;
        if place.is_retired() {
            return;
        }
        shared.meters().vm_restarts.increment();
        let (starting, shared, hub) = (Arc::clone(&place), shared.clone(), hub.clone());
        let started = tokio::task::spawn_blocking(move || start::start(&starting, &shared, &hub)).await;
        match started {
            Ok(Ok(())) => {
                tracing::info!(module, "VM runs again");
                return;
            }
            Ok(Err(error)) => tracing::error!(module, "{error}"),
            Err(error) => tracing::error!(module, "starting a VM failed: {error}"),
        }
    }
}

/// Keeps a VM until `proxy_done` has come, or has been waited for long enough.
async fn await_done(live: Arc<Live>) {
    let housekeep = |live: &Arc<Live>| {
        live.thread.post(Event {
            live: Arc::downgrade(live),
            what: What::Housekeep,
        });
    };
    let until = Instant::now() + DONE_WAIT + DONE_CHECK;
    while live.has_pending_done() && Instant::now() <= until {
        tokio::time::sleep(DONE_CHECK).await;
        housekeep(&live);
    }
}
