//! The bound on client connections, of all workers together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_meters::Meters;

/// Pause between two log lines about refused connections.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The client connections of the process, and their bound: `limits.connections`. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `usize::MAX` stands for no bound.
    most: AtomicUsize,
    open: AtomicUsize,
    meters: Meters,
    log: Mutex<RefusalLog>,
}

/// A connection that counts until this is dropped: tunnels too.
#[derive(Debug)]
pub(crate) struct Admitted(Arc<Inner>);

impl ConnectionLimit {
    /// Without a bound so far; refusals are counted in `meters`.
    pub fn new(meters: Meters) -> Self {
        Self(Arc::new(Inner {
            most: AtomicUsize::new(usize::MAX),
            open: AtomicUsize::new(0),
            meters,
            log: Mutex::default(),
        }))
    }

    /// Sets the bound, for connections that come from now on.
    pub fn set(&self, most: Option<usize>) {
        self.0.most.store(most.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Counts a connection that has come; `None` if there are too many, which is counted.
    pub fn admit(&self) -> Option<Admitted> {
        let most = self.0.most.load(Ordering::Relaxed);
        let admit = |open: usize| (open < most).then_some(open + 1);
        let admitted = self
            .0
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit);
        if admitted.is_err() {
            self.0.meters.connections_refused.increment();
            return None;
        }
        Some(Admitted(Arc::clone(&self.0)))
    }

    /// Logs how many connections have been refused since the last time, every now and then. Called by every worker on its
    /// rounds.
    pub fn log_refusals(&self) {
        let refused = self.0.meters.connections_refused.value();
        // Another worker may be at it.
        let Ok(mut log) = self.0.log.try_lock() else {
            return;
        };
        if let Some(count) = log.due(refused, Instant::now()) {
            tracing::warn!(
                count,
                most = self.0.most.load(Ordering::Relaxed),
                "refused client connections: `limits.connections` are open"
            );
        }
    }

    /// Logs what has not been logged yet, at the end.
    pub fn log_last_refusals(&self) {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner).last = None;
        self.log_refusals();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which refusals have been logged.
#[derive(Debug, Default)]
struct RefusalLog {
    logged: u64,
    last: Option<Instant>,
}

impl RefusalLog {
    /// The number to log now, of `refused` in all.
    fn due(&mut self, refused: u64, now: Instant) -> Option<u64> {
        let count = refused.saturating_sub(self.logged);
        let is_early = self.last.is_some_and(|last| now < last + LOG_EVERY);
        if count == 0 || is_early {
            return None;
        }
        self.logged = refused;
        self.last = Some(now);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_admitted_up_to_the_bound() {
        let meters = Meters::default();
        let limit = ConnectionLimit::new(meters.clone());
        let unbounded: Vec<_> = (0..100).map(|_| limit.admit().unwrap()).collect();
        drop(unbounded);
        limit.set(Some(2));
        let first = limit.admit().unwrap();
        // Another worker's.
        let second = limit.clone().admit().unwrap();
        assert!(limit.admit().is_none() && limit.clone().admit().is_none());
        assert_eq!(meters.connections_refused.value(), 2);
        drop(first);
        let third = limit.admit().unwrap();
        assert!(limit.admit().is_none());
        // A reload lowers the bound below what is open, then lifts it.
        limit.set(Some(1));
        drop(second);
        assert!(limit.admit().is_none());
        drop(third);
        assert!(limit.admit().is_some());
        limit.set(None);
        assert!(limit.admit().is_some());
    }

    #[test]
    fn refusals_are_logged_once_in_a_while() {
        let start = Instant::now();
        let mut log = RefusalLog::default();
        assert_eq!(log.due(0, start), None);
        assert_eq!(log.due(1, start), Some(1));
        assert_eq!(log.due(500, start + LOG_EVERY / 2), None);
        assert_eq!(log.due(700, start + LOG_EVERY), Some(699));
        assert_eq!(log.due(700, start + 3 * LOG_EVERY), None);
    }
}
