//! Timers: values that become due.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names a timer that has been set.
pub(crate) type TimerKey = (Instant, u64);

/// Values by the time at which they become due.
pub(crate) struct Timers<T> {
    by_time: BTreeMap<TimerKey, T>,
    /// Tells timers of one time apart, in the order in which they were set.
    set: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            by_time: BTreeMap::new(),
            set: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Sets a timer.
    pub fn set(&mut self, at: Instant, value: T) -> TimerKey {
        self.set += 1;
        let key = (at, self.set);
        self.by_time.insert(key, value);
        key
    }

    /// Takes a timer back; one that was due already is gone.
    pub fn cancel(&mut self, key: TimerKey) {
        self.by_time.remove(&key);
    }

    /// Returns the time of the earliest timer.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest timer, if it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<T> {
        let earliest = self.by_time.first_entry()?;
        (earliest.key().0 <= now).then(|| earliest.remove())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_are_due_in_order_and_can_be_cancelled() {
        let mut timers = Timers::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        timers.set(at(2), 'c');
        timers.set(at(1), 'a');
        let cancelled = timers.set(at(1), 'x');
        timers.set(at(1), 'b');
        timers.cancel(cancelled);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.take_due(now), None);
        let due: String = std::iter::from_fn(|| timers.take_due(at(2))).collect();
        assert_eq!((due.as_str(), timers.next()), ("abc", None));
    }
}
