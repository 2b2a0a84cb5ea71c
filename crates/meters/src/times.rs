//! Histograms of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper end of a bucket, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The longest duration that falls into the bucket.
    pub nanos: u64,
    /// The same in seconds, spelled as both formats of metrics want it.
    pub seconds: &'static str,
}

const fn bound(nanos: u64, seconds: &'static str) -> Bound {
    Bound { nanos, seconds }
}

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Buckets of callback times: from a callback that returns at once to one that its deadline ends.
pub const CALLBACK_BOUNDS: &[Bound] = &[
    bound(MICRO, "1e-06"),
    bound(5 * MICRO, "5e-06"),
    bound(10 * MICRO, "1e-05"),
    bound(50 * MICRO, "5e-05"),
    bound(100 * MICRO, "0.0001"),
    bound(500 * MICRO, "0.0005"),
    bound(MILLI, "0.001"),
    bound(5 * MILLI, "0.005"),
    bound(10 * MILLI, "0.01"),
    bound(50 * MILLI, "0.05"),
    bound(100 * MILLI, "0.1"),
    bound(SECOND, "1.0"),
];

/// Buckets of compile times: from code that a cache holds to a large module under an optimising compiler.
pub const COMPILE_BOUNDS: &[Bound] = &[
    bound(MILLI, "0.001"),
    bound(5 * MILLI, "0.005"),
    bound(10 * MILLI, "0.01"),
    bound(50 * MILLI, "0.05"),
    bound(100 * MILLI, "0.1"),
    bound(500 * MILLI, "0.5"),
    bound(SECOND, "1.0"),
    bound(5 * SECOND, "5.0"),
    bound(10 * SECOND, "10.0"),
    bound(60 * SECOND, "60.0"),
];

/// Most bounds of any histogram; a last bucket holds what is longer.
const MOST: usize = 12;

const _: () = assert!(CALLBACK_BOUNDS.len() <= MOST && COMPILE_BOUNDS.len() <= MOST);

/// A histogram that one thread at a time writes and any thread reads.
#[derive(Debug)]
pub(crate) struct Times {
    bounds: &'static [Bound],
    buckets: [AtomicU64; MOST + 1],
    nanos: AtomicU64,
}

/// The values of a histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimesReading {
    /// The buckets' bounds.
    pub bounds: &'static [Bound],
    /// Samples per bucket, each sample in one; the last bucket, behind all bounds, holds longer ones.
    buckets: [u64; MOST + 1],
    /// The sum of all samples.
    pub sum: Duration,
}

impl Times {
    pub const fn new(bounds: &'static [Bound]) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; MOST + 1],
            nanos: AtomicU64::new(0),
        }
    }

    /// Adds a sample. One thread at a time: plain loads and stores cost a fraction of locked additions.
    #[inline]
    pub fn record(&self, nanos: u64) {
        let bucket = self.bounds.partition_point(|bound| bound.nanos < nanos);
        for (cell, add) in [(&self.buckets[bucket], 1), (&self.nanos, nanos)] {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(add), Ordering::Relaxed);
        }
    }

    pub fn reading(&self) -> TimesReading {
        TimesReading {
            bounds: self.bounds,
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

impl TimesReading {
    /// No samples.
    pub(crate) const fn empty(bounds: &'static [Bound]) -> Self {
        Self {
            bounds,
            buckets: [0; MOST + 1],
            sum: Duration::ZERO,
        }
    }

    /// Adds the samples of another histogram with the same bounds.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// For each bound, the number of samples up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (Bound, u64)> + '_ {
        let counts = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(counts)
    }

    /// The number of samples.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_falls_into_the_first_bucket_that_holds_it() {
        let times = Times::new(COMPILE_BOUNDS);
        for nanos in [0, MILLI, MILLI + 1, 61 * SECOND] {
            times.record(nanos);
        }
        let reading = times.reading();
        let counts: Vec<u64> = reading.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..3], [2, 3, 3]);
        assert_eq!((counts.last(), reading.count()), (Some(&3), 4));
        assert_eq!(reading.sum, Duration::from_nanos(61 * SECOND + 2 * MILLI + 1));
    }

    #[test]
    fn bounds_are_spelled_in_seconds() {
        for bounds in [CALLBACK_BOUNDS, COMPILE_BOUNDS] {
            assert!(bounds.is_sorted_by_key(|bound| bound.nanos));
            for bound in bounds {
                let seconds: f64 = bound.seconds.parse().expect("a number");
                assert_eq!((seconds * 1e9).round() as u64, bound.nanos);
            }
        }
    }
}
