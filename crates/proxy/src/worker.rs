//! A worker: one thread with its own runtime, sockets, VMs and connections. Nothing on the path of a request is shared
//! with another worker.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;
use weir_abi::LogLevel;
use weir_chain::ChainFilter;
use weir_host::{Shared, VmSlot};
use weir_outbound::{TrailingBody, UpstreamPool};
use weir_supervisor::{Mail, Supervisor, SupervisorTask, VmThreads};

use crate::accept::{self, Accepting};
use crate::access_log::{Lines, Verdict};
use crate::bodies::RequestBody;
use crate::connection_limit::ConnectionLimit;
use crate::exchange::Exchange;
use crate::filters::of_route;
use crate::listener::ListenerRules;
use crate::revision::{FilterPlan, Revision};
use crate::rounds::{self, Connections, Streams};

/// A message of the control thread to a worker.
pub(crate) enum Message {
    /// Serve from this revision from now on.
    Install(Box<Install>),
    /// Accept nothing more, let what is under way end within this time, then end.
    Drain(Duration),
    /// End now.
    Stop,
}

/// A revision on its way to a worker.
pub(crate) struct Install {
    /// The revision to serve from.
    pub revision: Arc<Revision>,
    /// The worker's slots, one for each VM of the configuration.
    pub slots: Vec<Arc<VmSlot>>,
    /// Sockets to accept from that are new.
    pub sockets: Vec<TcpListener>,
    /// The rules of every listener, by its address; listeners that are not here are closed.
    pub listeners: Vec<(SocketAddr, ListenerRules)>,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

/// The way to a worker.
#[derive(Clone)]
pub(crate) struct WorkerLink {
    /// Takes messages.
    pub mailbox: UnboundedSender<Message>,
    /// Supervises the worker's VMs, on the worker's own thread.
    pub supervisor: Supervisor,
}

/// A worker, seen from the control thread.
pub(crate) struct WorkerHandle {
    /// The way to it.
    pub link: WorkerLink,
    /// Ends after [`Message::Drain`].
    pub thread: JoinHandle<()>,
}

/// A worker, seen from its connections.
pub(crate) struct Worker {
    /// The parts that all VMs of the process share.
    pub shared: Shared,
    /// Its exchanges.
    pub streams: Streams,
    /// Its connections.
    pub connections: Connections,
    /// The bound on client connections, of all workers together.
    pub connection_limit: ConnectionLimit,
    mailbox: UnboundedSender<Message>,
    revision: RefCell<Option<Rc<WorkerRevision>>>,
    accepting: RefCell<Vec<Accepting>>,
    access_log: Lines,
    phase: watch::Sender<Phase>,
    stopping: Cell<bool>,
    supervisor: Supervisor,
}

/// The work of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Drained,
}

/// Body of a request to an upstream, as pools take it.
pub(crate) type PoolBody = TrailingBody<RequestBody>;

/// A revision with what one worker has of its own.
pub(crate) struct WorkerRevision {
    /// The parts that all workers share.
    pub plan: Arc<Revision>,
    /// One for each VM of the configuration.
    pub slots: Vec<Arc<VmSlot>>,
    /// The filters of each route.
    pub filters: Vec<Arc<[ChainFilter]>>,
    /// One for each upstream of the revision.
    pub pools: Vec<Rc<UpstreamPool<PoolBody>>>,
    nothing: Arc<str>,
    /// A change of a route has been refused, and said so.
    refused_route: Cell<bool>,
}

impl WorkerRevision {
    /// Says once that a request keeps its route, since a filter of the one that it was to change to has not seen it.
    pub fn warn_unseen(&self, from: Option<usize>, to: usize, filter: &FilterPlan) {
        if self.refused_route.replace(true) {
            return;
        }
        let name = |route: Option<usize>| {
            let route = route.and_then(|route| self.plan.routes.get(route));
            route.map_or("none", |route| &*route.name)
        };
        tracing::warn!(
            "route {}: a filter changed a request so that route {} would take it, but its filter {} \
             has not seen the request; such requests keep their route. Name the filter in `filters` of both routes to let them \
             change",
            name(from),
            name(Some(to)),
            filter.name
        );
    }

    /// The name of nothing.
    pub fn nothing(&self) -> Arc<str> {
        Arc::clone(&self.nothing)
    }
}

/// Starts a worker's thread. It serves nothing before the first [`Message::Install`].
pub(crate) fn spawn(
    index: usize,
    shared: Shared,
    access_log: Lines,
    connection_limit: ConnectionLimit,
) -> std::io::Result<WorkerHandle> {
    let (mailbox, messages) = unbounded_channel();
    let own = mailbox.clone();
    // The log level is the configuration's alone, which the VMs' plans know.
    let (supervisor, vms) = Supervisor::new(shared.clone(), || LogLevel::Trace);
    let own_supervisor = supervisor.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name(format!("weir-worker-{index}"))
        .spawn(move || {
            let local = LocalSet::new();
            let worker = Worker::new(shared, own, access_log, connection_limit, own_supervisor);
            local.block_on(&runtime, Rc::clone(&worker).run(messages, vms));
            worker.close();
            // Whatever waits for a connection now is dropped with its task, and learns of it.
            drop(local);
            worker.access_log.flush();
            // Threads that start VMs for nobody are not waited for.
            runtime.shutdown_background();
        })?;
    let link = WorkerLink { mailbox, supervisor };
    Ok(WorkerHandle { link, thread })
}

impl Worker {
    fn new(
        shared: Shared,
        mailbox: UnboundedSender<Message>,
        access_log: Lines,
        connection_limit: ConnectionLimit,
        supervisor: Supervisor,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            streams: Streams::default(),
            connections: Connections::default(),
            connection_limit,
            mailbox,
            revision: RefCell::new(None),
            accepting: RefCell::default(),
            access_log,
            phase: watch::Sender::new(Phase::Serving),
            stopping: Cell::new(false),
            supervisor,
        })
    }

    /// The revision that serves new exchanges; `None` before the first configuration has come.
    pub fn revision(&self) -> Option<Rc<WorkerRevision>> {
        self.revision.borrow().clone()
    }

    /// Ready when no new exchanges are wanted.
    pub fn draining(&self) -> impl Future<Output = ()> + 'static {
        self.reached(Phase::Draining)
    }

    /// Ready when no exchange is waited for any more.
    pub fn drained(&self) -> impl Future<Output = ()> + 'static {
        self.reached(Phase::Drained)
    }

    /// Writes the access log's line about an exchange that is over.
    pub fn log_exchange(&self, exchange: &Exchange) {
        if !self.access_log.is_on() {
            return;
        }
        let filters = exchange
            .route
            .and_then(|route| exchange.revision.plan.routes.get(route));
        let mut names = (0..exchange.chain.len()).filter_map(|filter| {
            let plan = exchange.chain.plan(filter)?;
            Some(&*filters?.filters.get(plan)?.name)
        });
        let state = exchange.state.borrow();
        let mut verdict = Verdict {
            local: state.is_local(),
            complete: exchange.is_complete(),
            filters: &mut names,
        };
        self.access_log.add(&state, &mut verdict);
    }

    /// Writes the access log's line about a request that hyper has refused, since it could not be read as one.
    pub fn log_refused(&self, client: SocketAddr, error: &hyper::Error) {
        if !self.access_log.is_on() {
            return;
        }
        let status = match error.is_parse_too_large() {
            true => 431,
            false => 400,
        };
        let reason = format!("malformed_request: {error}");
        self.access_log.add_refused(client, status, &reason);
    }

    /// Hands finished lines to the writer.
    pub fn flush_log(&self) {
        self.access_log.flush();
    }

    async fn run(self: Rc<Self>, mut messages: UnboundedReceiver<Message>, vms: SupervisorTask) {
        let vms = tokio::task::spawn_local(vms.run(OneThread(Rc::downgrade(&self))));
        let rounds = tokio::task::spawn_local(rounds::run(Rc::downgrade(&self)));
        while let Some(message) = messages.recv().await {
            self.handle(message);
            if self.stopping.get() {
                break;
            }
        }
        rounds.abort();
        vms.abort();
    }

    fn handle(self: &Rc<Self>, message: Message) {
        match message {
            Message::Install(install) => self.install(*install),
            Message::Drain(limit) => self.drain(limit),
            Message::Stop => self.stopping.set(true),
        }
    }

    fn install(self: &Rc<Self>, install: Install) {
        let old = self.revision.borrow_mut().take();
        let pools = install.revision.upstreams.iter().map(|upstream| {
            let known = old.as_ref().and_then(|old| {
                let index = old
                    .plan
                    .upstreams
                    .iter()
                    .position(|known| known.config() == upstream.config())?;
                old.pools.get(index).cloned()
            });
            known.unwrap_or_else(|| Rc::new(UpstreamPool::new(Arc::clone(upstream))))
        });
        let pools = pools.collect();
        let routes = &install.revision.routes;
        let filters = routes
            .iter()
            .map(|route| of_route(&route.filters, &install.slots))
            .collect();
        let revision = WorkerRevision {
            plan: install.revision,
            slots: install.slots,
            filters,
            pools,
            nothing: "".into(),
            refused_route: Cell::new(false),
        };
        *self.revision.borrow_mut() = Some(Rc::new(revision));
        self.listen(install.sockets, &install.listeners);
        // Nobody waits any more if the control thread has given up.
        let _ = install.done.send(());
    }

    fn listen(self: &Rc<Self>, sockets: Vec<TcpListener>, listeners: &[(SocketAddr, ListenerRules)]) {
        let mut accepting = self.accepting.borrow_mut();
        accepting.retain(|listener| listeners.iter().any(|(address, _)| *address == listener.address));
        for listener in accepting.iter() {
            if let Some((_, rules)) = listeners.iter().find(|(address, _)| *address == listener.address) {
                listener.rules.replace(rules.clone());
            }
        }
        for socket in sockets {
            let own = socket.local_addr().ok();
            let listener = listeners.iter().find(|(address, _)| Some(*address) == own);
            let rules = listener.map(|(_, rules)| rules.clone()).unwrap_or_default();
            match accept::start(self, socket, rules) {
                Ok(listener) => accepting.push(listener),
                Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
            }
        }
    }

    fn drain(self: &Rc<Self>, limit: Duration) {
        self.accepting.borrow_mut().clear();
        self.phase.send_replace(Phase::Draining);
        let worker: Weak<Self> = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            let Some(worker) = worker.upgrade() else {
                return;
            };
            let until = tokio::time::Instant::now() + limit;
            let empty = async {
                while worker.connections.len() > 0 || worker.streams.len() > 0 {
                    worker.connections.left().await;
                }
            };
            if tokio::time::timeout_at(until, empty).await.is_err() {
                let (streams, connections) = (worker.streams.len(), worker.connections.len());
                tracing::warn!(streams, connections, "shutdown does not wait any longer");
            }
            worker.phase.send_replace(Phase::Drained);
            // A last turn for those who wait for this.
            tokio::task::yield_now().await;
            // While the supervisor runs: filters may send a last report when they end.
            worker.close();
            if tokio::time::timeout_at(until, worker.supervisor.farewells())
                .await
                .is_err()
            {
                tracing::warn!(
                    "filters have not ended within timeouts.drain ({limit:?}): their last calls are given up, or they have not \
                     called proxy_done"
                );
            }
            // The worker holds the mailbox's other end.
            let _ = worker.mailbox.send(Message::Stop);
        });
    }

    /// Ends the VMs, but for those that streams still use. The fleet of the control thread outlives the worker.
    fn close(&self) {
        let revision = self.revision.borrow_mut().take();
        for slot in revision.iter().flat_map(|revision| &revision.slots) {
            drop(slot.empty());
        }
    }

    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + 'static {
        let mut receiver = self.phase.subscribe();
        async move {
            // An error means that the worker is gone, which is further than any phase.
            let _ = receiver.wait_for(|now| *now >= phase).await;
        }
    }
}

/// The worker's thread, as its VMs' supervisor knows it: the supervisor runs on it, so that events are delivered at once.
struct OneThread(Weak<Worker>);

impl VmThreads for OneThread {
    fn post(&self, _: usize, mail: Mail) {
        mail.deliver();
    }

    fn has_waiting(&self, _: usize) -> bool {
        self.0.upgrade().is_some_and(|worker| worker.streams.any_held())
    }
}
