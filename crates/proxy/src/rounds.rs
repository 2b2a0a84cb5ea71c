//! What a worker looks after every so often: connections and exchanges on which nothing moves, and its log.
//!
//! Going round costs a request nothing; a timer for each would.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Weak as ArcWeak};
use std::time::{Duration, Instant};

use atomic_refcell::AtomicRefCell;
use slab::Slab;
use tokio::sync::Notify;
use weir_chain::local_reply;
use weir_config::Timeouts;
use weir_http_rules::flags;

use crate::connection::Watch;
use crate::stream::{SharedState, StreamState};
use crate::worker::Worker;

/// How often log lines are handed to their writer.
const ROUND: Duration = Duration::from_millis(100);

/// How late a timeout may be noticed.
const LOOK: Duration = Duration::from_secs(1);

/// The exchanges of a worker.
#[derive(Default)]
pub(crate) struct Streams {
    slab: RefCell<Slab<(ArcWeak<AtomicRefCell<StreamState>>, u64)>>,
}

impl Streams {
    /// Enters an exchange that begins on the connection with this number; returns the key for [`Streams::leave`].
    pub fn enter(&self, state: &SharedState, connection: u64) -> usize {
        self.slab.borrow_mut().insert((Arc::downgrade(state), connection))
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
            .filter_map(|(_, (state, _))| state.upgrade())
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
        let Some(timeouts) = worker.revision().map(|revision| revision.plan.timeouts) else {
            continue;
        };
        if last_look.elapsed() >= look_every(&timeouts) {
            last_look = Instant::now();
            look_after_connections(&worker.connections, &timeouts);
            look_after_streams(&worker, timeouts.stream_idle);
        }
    }
}

fn look_every(timeouts: &Timeouts) -> Duration {
    LOOK.min(timeouts.request_header / 2)
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
    for (_, (state, connection)) in worker.streams.slab.borrow().iter() {
        let Some(state) = state.upgrade() else {
            continue;
        };
        let mut state = state.borrow_mut();
        // A filter may hold a message for as long as it likes; a tunnel has its own ways to end.
        if state.is_held() || state.messages.facts.switched_to.is_some() {
            state.messages.facts.moved_at = now;
            continue;
        }
        let still = now.saturating_duration_since(state.messages.facts.moved_at);
        if still <= limit {
            continue;
        }
        if state.reset.is_some() || state.finished {
            // Reset, and still here: the client does not even take what is left.
            if still > limit + LOOK {
                stuck.push(*connection);
            }
            continue;
        }
        state.messages.facts.flags |= flags::STREAM_IDLE_TIMEOUT;
        let status = if state.messages.facts.request_sent_at.is_some() {
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
