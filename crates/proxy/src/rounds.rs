//! A worker's rounds: it looks after connections and exchanges on which nothing moves, and its log.
//!
//! Going round costs a request nothing; a timer for each would.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Weak as ArcWeak};
use std::time::{Duration, Instant};

use atomic_refcell::AtomicRefCell;
use slab::Slab;
use tokio::sync::Notify;
use weir_abi::limits::STREAM_DEADLINE;
use weir_abi::log_target;
use weir_chain::{Chain, local_reply};
use weir_config::{FailPolicy, Timeouts};
use weir_http_rules::flags;

use crate::connection::Watch;
use crate::revision::FilterPlan;
use crate::stream::{SharedState, StreamState};
use crate::worker::{Worker, WorkerRevision};

/// The period in which log lines are handed to their writer.
const ROUND: Duration = Duration::from_millis(100);

/// The most that a timeout may be noticed late.
const LOOK: Duration = Duration::from_secs(1);

/// The exchanges of a worker.
#[derive(Default)]
pub(crate) struct Streams {
    slab: RefCell<Slab<Watched>>,
}

/// The part of an exchange that the rounds look at.
pub(crate) struct Watched {
    /// Its state.
    pub state: ArcWeak<AtomicRefCell<StreamState>>,
    /// The number of its connection.
    pub connection: u64,
    /// The revision that serves the exchange.
    pub revision: Rc<WorkerRevision>,
    /// The index of its route.
    pub route: Option<usize>,
    /// Its filters.
    pub chain: Arc<Chain>,
}

impl Watched {
    /// The plan of a filter of the chain.
    fn filter(&self, index: usize) -> Option<&FilterPlan> {
        let route = self.revision.plan.routes.get(self.route?)?;
        route.filters.get(self.chain.plan(index)?)
    }

    /// The shortest stream deadline of the chain.
    fn stream_deadline(&self) -> Duration {
        let filters = (0..self.chain.len()).filter_map(|index| self.filter(index));
        let deadlines = filters.map(|filter| filter.config.stream_deadline);
        deadlines.min().unwrap_or(STREAM_DEADLINE)
    }
}

impl Streams {
    /// Enters an exchange that begins; returns the key for [`Streams::leave`].
    pub fn enter(&self, exchange: Watched) -> usize {
        self.slab.borrow_mut().insert(exchange)
    }

    /// An exchange is over.
    pub fn leave(&self, key: usize) {
        let gone = self.slab.borrow_mut().try_remove(key);
        drop(gone);
    }

    /// Number of exchanges.
    pub fn len(&self) -> usize {
        self.slab.borrow().len()
    }

    /// Returns true if a filter holds any part of an exchange.
    pub fn any_held(&self) -> bool {
        let is_held = |state: &SharedState| state.try_borrow().is_ok_and(|state| state.is_held());
        self.slab
            .borrow()
            .iter()
            .filter_map(|(_, watched)| watched.state.upgrade())
            .any(|state| is_held(&state))
    }
}

/// The connections of a worker.
#[derive(Default)]
pub(crate) struct Connections {
    slab: RefCell<Slab<Watch>>,
    left: Notify,
}

impl Connections {
    /// A connection begins; it has ended when what this gives is dropped.
    pub fn enter(&self, worker: &Rc<Worker>, watch: Watch) -> Presence {
        Presence {
            worker: Rc::clone(worker),
            key: self.slab.borrow_mut().insert(watch),
        }
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.slab.borrow().len()
    }

    /// Waits until one has ended, or for a moment.
    pub async fn left(&self) {
        // Tunnels are exchanges without a connection, so that it is not enough to wait for connections.
        let _ = tokio::time::timeout(ROUND, self.left.notified()).await;
    }

    fn close(&self, id: u64) {
        if let Some((_, watch)) = self.slab.borrow().iter().find(|(_, watch)| watch.id == id) {
            watch.close.notify_one();
        }
    }
}

/// A connection's presence among those of its worker.
pub(crate) struct Presence {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let connections = &self.worker.connections;
        let gone = connections.slab.borrow_mut().try_remove(self.key);
        drop(gone);
        connections.left.notify_waiters();
    }
}

/// Goes round until the worker ends.
pub(crate) async fn run(worker: Weak<Worker>) {
    let mut last_look = Instant::now();
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        worker.flush_log();
        worker.connection_limit.log_refusals();
        let Some(revision) = worker.revision() else {
            continue;
        };
        let timeouts = revision.plan.timeouts;
        if last_look.elapsed() >= look_every(&timeouts, revision.plan.stream_deadline) {
            last_look = Instant::now();
            look_after_connections(&worker.connections, &timeouts);
            look_after_streams(&worker, timeouts.stream_idle);
        }
    }
}

fn look_every(timeouts: &Timeouts, stream_deadline: Option<Duration>) -> Duration {
    LOOK.min(stream_deadline.map_or(LOOK, |deadline| deadline / 2))
        .min(timeouts.request_header / 2)
        .min(timeouts.client_idle / 2)
        .min(timeouts.stream_idle / 2)
}

fn look_after_connections(connections: &Connections, timeouts: &Timeouts) {
    for (_, watch) in connections.slab.borrow().iter() {
        let slow = watch
            .activity
            .head_for()
            .is_some_and(|coming| coming > timeouts.request_header);
        let idle = watch.activity.is_idle() && watch.activity.still_for() > timeouts.client_idle;
        if slow || idle {
            watch.close.notify_one();
        }
    }
}

fn look_after_streams(worker: &Worker, limit: Duration) {
    let now = Instant::now();
    let mut stuck = Vec::new();
    for (_, watched) in worker.streams.slab.borrow().iter() {
        let Some(state) = watched.state.upgrade() else {
            continue;
        };
        let mut state = state.borrow_mut();
        let is_over = state.reset.is_some() || state.finished;
        if !is_over && state.is_held_by_filter() {
            look_after_held(worker, watched, &mut state, now);
            continue;
        }
        let facts = &mut state.messages.facts;
        // A tunnel has its own timeout.
        if facts.held_at.take().is_some() || facts.switched_to.is_some() {
            facts.moved_at = now;
            continue;
        }
        let still = now.saturating_duration_since(state.messages.facts.moved_at);
        if still <= limit {
            continue;
        }
        if is_over {
            // Reset, and still here: the client does not even take what is left.
            if still > limit + LOOK {
                stuck.push(watched.connection);
            }
            continue;
        }
        state.messages.facts.flags |= flags::STREAM_IDLE_TIMEOUT;
        let status = if state.messages.facts.upstreams_turn().is_some() {
            504
        } else {
            408
        };
        worker.shared.meters().stream_deadlines.increment();
        let reply = local_reply::plain(status, "stream_idle_timeout", "stream timeout\n");
        state.reply_or_reset(reply, "stream_idle_timeout");
    }
    for connection in stuck {
        worker.connections.close(connection);
    }
}

/// A stream that filters hold: where nothing has moved for their deadline, it gets their fail policies.
fn look_after_held(worker: &Worker, watched: &Watched, state: &mut StreamState, now: Instant) {
    let facts = &mut state.messages.facts;
    let since = *facts.held_at.get_or_insert(now);
    let still = now.saturating_duration_since(since.max(facts.moved_at));
    let limit = watched.stream_deadline();
    if still < limit {
        return;
    }
    facts.held_at = None;
    facts.moved_at = now;
    for filter in state.give_up_held() {
        let Some(plan) = watched.filter(filter) else {
            continue;
        };
        let policy = match plan.config.fail_policy {
            FailPolicy::Open => "open",
            FailPolicy::Closed => "closed",
        };
        tracing::warn!(
            target: log_target::ABOUT_GUEST,
            "filter {}: held a stream for longer than `limits.stream_deadline` ({limit:?}); the stream gets \
             fail_policy={policy}",
            plan.name
        );
    }
    worker.shared.meters().stream_deadlines.increment();
}
