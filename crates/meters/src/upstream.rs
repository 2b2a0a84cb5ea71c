//! Meters of an upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::counter::Counter;

/// Counts what is sent to an upstream: requests of routes and HTTP calls of guests, all workers together.
#[derive(Debug, Default)]
pub struct UpstreamMeter {
    /// Requests sent, second tries included.
    pub requests: Counter,
    /// Requests without a response head: no connection, a timeout, a reset, a protocol error.
    pub errors: Counter,
    /// Connections begun.
    pub connections: Counter,
    /// Connections closed, those that were never established included.
    pub closed: Counter,
}

/// Every upstream by name.
#[derive(Debug, Default)]
pub(crate) struct UpstreamMeters(Mutex<BTreeMap<Arc<str>, Arc<UpstreamMeter>>>);

/// An upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamReading {
    /// Name of the upstream in the configuration.
    pub name: Arc<str>,
    /// As [`UpstreamMeter::requests`].
    pub requests: u64,
    /// As [`UpstreamMeter::errors`].
    pub errors: u64,
    /// As [`UpstreamMeter::connections`].
    pub connections: u64,
    /// Connections that are open or being made.
    pub open: u64,
}

impl UpstreamMeters {
    /// The meter of an upstream. Those of a name share one, and it outlives reloads.
    pub fn of(&self, name: &str) -> Arc<UpstreamMeter> {
        let mut upstreams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = upstreams.get(name) {
            return Arc::clone(known);
        }
        let meter = Arc::<UpstreamMeter>::default();
        upstreams.insert(name.into(), Arc::clone(&meter));
        meter
    }

    pub fn reading(&self) -> Vec<UpstreamReading> {
        let upstreams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = upstreams.iter().map(|(name, meter)| {
            // In this order, so that a connection which is closed meanwhile is not taken off without having been added.
            let closed = meter.closed.value();
            let connections = meter.connections.value();
            UpstreamReading {
                name: Arc::clone(name),
                requests: meter.requests.value(),
                errors: meter.errors.value(),
                connections,
                open: connections.saturating_sub(closed),
            }
        });
        reading.collect()
    }
}
