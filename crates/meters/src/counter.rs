//! A number that only grows, for many threads.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Stripes of a counter. Threads beyond this number share stripes, which costs time but loses nothing.
const STRIPES: usize = 16;

/// A number that only grows. Each thread adds to a cache line of its own, so that counting on the request path does not
/// make worker threads wait for each other.
#[derive(Default)]
pub struct Counter([Stripe; STRIPES]);

/// A cache line; 128 bytes, because processors fetch two at a time.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0[stripe()].0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum of all threads. Two counters that are read one after the other may be some counts apart.
    pub fn value(&self) -> u64 {
        self.0.iter().fold(0, |sum, stripe| {
            sum.wrapping_add(stripe.0.load(Ordering::Relaxed))
        })
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counter({})", self.value())
    }
}

/// The stripe of the calling thread.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    // A thread that ends may count while its thread-local values are dropped.
    OWN.try_with(|own| *own).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_no_count() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1000).for_each(|_| counter.increment()));
            }
        });
        counter.add(5);
        assert_eq!(counter.value(), 2 * STRIPES as u64 * 1000 + 5);
    }
}
