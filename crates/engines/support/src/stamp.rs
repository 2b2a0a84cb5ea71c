//! Stamps: the CPU time that a thread had used at the first beat of its call into a guest.
//!
//! The ticker writes them, so that they are right while the thread is inside a host function and looks at no clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::{ThreadClock, Ticker};

/// Names a call among those of its thread. 0 names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallNumber(u64);

/// The stamp of one thread.
struct Stamp {
    clock: ThreadClock,
    /// The call that the thread makes, or made last. Only the thread writes it.
    call: AtomicU64,
    /// The call that `cpu_time` belongs to. Only the ticker writes it and `cpu_time`, and only while `call` is another one.
    stamped: AtomicU64,
    /// Nanoseconds.
    cpu_time: AtomicU64,
}

static STAMPS: Mutex<Vec<Weak<Stamp>>> = Mutex::new(Vec::new());

thread_local! {
    static STAMP: Arc<Stamp> = Stamp::register();
}

impl CallNumber {
    /// The calling thread begins a call. The ticker reads the thread's clock at its next beat.
    #[inline]
    pub fn next() -> Self {
        let next = STAMP.try_with(|stamp| {
            let call = stamp.call.load(Ordering::Relaxed) + 1;
            stamp.call.store(call, Ordering::Relaxed);
            call
        });
        // Thread-local values are gone where the thread ends.
        Self(next.unwrap_or(0))
    }

    /// Returns the CPU time that the calling thread had used at the first beat of this call. `None` where the ticker has not
    /// beaten since the call began, and for a call of another thread.
    #[cold]
    pub fn first_beat(self) -> Option<Duration> {
        let stamp = STAMP.try_with(|stamp| {
            let is_of_this_call = stamp.stamped.load(Ordering::Acquire) == self.0;
            is_of_this_call.then(|| Duration::from_nanos(stamp.cpu_time.load(Ordering::Relaxed)))
        });
        stamp.ok().flatten()
    }
}

impl Stamp {
    /// Lets the ticker know the calling thread.
    #[cold]
    fn register() -> Arc<Self> {
        Ticker::start();
        let stamp = Arc::new(Self {
            clock: ThreadClock::of_this_thread(),
            call: AtomicU64::new(0),
            stamped: AtomicU64::new(0),
            cpu_time: AtomicU64::new(0),
        });
        STAMPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&stamp));
        stamp
    }

    fn beat(&self) {
        let call = self.call.load(Ordering::Relaxed);
        if call == self.stamped.load(Ordering::Relaxed) {
            return;
        }
        let Some(now) = self.clock.read() else {
            return;
        };
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.cpu_time.store(now, Ordering::Relaxed);
        self.stamped.store(call, Ordering::Release);
    }
}

/// The ticker beats: stamps the calls that have begun since its last beat, and forgets threads that have ended.
pub(crate) fn beat() {
    STAMPS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|stamp| stamp.upgrade().inspect(|stamp| stamp.beat()).is_some());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread_cpu_time;

    #[test]
    fn a_call_is_stamped_at_its_first_beat() {
        let before = thread_cpu_time();
        let call = CallNumber::next();
        beat();
        let stamped = call.first_beat().unwrap();
        assert!(before <= stamped && stamped <= thread_cpu_time());
        beat();
        assert_eq!(call.first_beat(), Some(stamped), "later beats change nothing");
        let next = CallNumber::next();
        assert_ne!(next, call);
        beat();
        assert!(next.first_beat().unwrap() >= stamped);
        assert_eq!(call.first_beat(), None);
    }
}
