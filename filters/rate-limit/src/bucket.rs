//! A token bucket: arithmetic without a clock or a store.

use std::time::Duration;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Requests that a full bucket allows at once.
    pub burst: u64,
    /// Nanoseconds in which one more is allowed.
    pub interval: u64,
}

impl Limit {
    /// Nanoseconds after which an empty bucket is full.
    fn full_after(&self) -> u64 {
        self.burst.saturating_mul(self.interval)
    }
}

/// The state of one client, as a single moment: when its bucket will be full again (the theoretical arrival time of
/// the generic cell rate algorithm). A bucket that is full already needs no state at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Nanoseconds since 1970.
    full_at: u64,
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, and so may this many more right now.
    Pass {
        /// Requests left.
        remaining: u64,
    },
    /// It may not.
    Refuse {
        /// How long until the next one may.
        wait: Duration,
    },
}

impl Bucket {
    /// Takes one token at `now`. The bucket that remains is `None` where nothing was taken.
    pub fn take(self, limit: &Limit, now: u64) -> (Option<Self>, Decision) {
        // A clock that was set back must not lock a client out for longer than an empty bucket would.
        let latest = now.saturating_add(limit.full_after());
        let full_at = self.full_at.clamp(now, latest).saturating_add(limit.interval);
        match latest.checked_sub(full_at) {
            Some(room) => {
                let remaining = room / limit.interval.max(1);
                (Some(Self { full_at }), Decision::Pass { remaining })
            }
            None => {
                let wait = Duration::from_nanos(full_at - latest);
                (None, Decision::Refuse { wait })
            }
        }
    }

    /// Whether the bucket is as good as none.
    pub fn is_full(self, now: u64) -> bool {
        self.full_at <= now
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; 8] {
        self.full_at.to_le_bytes()
    }

    /// A bucket from the store; one that cannot be read is full.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            full_at: bytes.try_into().map(u64::from_le_bytes).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const LIMIT: Limit = Limit {
        burst: 3,
        interval: SECOND,
    };

    fn pass(bucket: Bucket, now: u64) -> (Bucket, u64) {
        match bucket.take(&LIMIT, now) {
            (Some(bucket), Decision::Pass { remaining }) => (bucket, remaining),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_burst_then_one_per_interval() {
        let now = 1_000 * SECOND;
        let mut bucket = Bucket::default();
        for expected in [2, 1, 0] {
            let (next, remaining) = pass(bucket, now);
            assert_eq!(remaining, expected);
            bucket = next;
        }
        let refused = Decision::Refuse {
            wait: Duration::from_secs(1),
        };
        assert_eq!(bucket.take(&LIMIT, now), (None, refused));
        let refused = Decision::Refuse {
            wait: Duration::from_millis(250),
        };
        assert_eq!(bucket.take(&LIMIT, now + SECOND * 3 / 4), (None, refused));
        let (bucket, remaining) = pass(bucket, now + SECOND);
        assert_eq!(remaining, 0);
        assert!(!bucket.is_full(now + SECOND * 3));
        assert!(bucket.is_full(now + SECOND * 4));
        assert_eq!(pass(bucket, now + SECOND * 60).1, 2);
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let later = Bucket {
            full_at: 5_000 * SECOND,
        };
        let refused = Decision::Refuse {
            wait: Duration::from_secs(1),
        };
        assert_eq!(later.take(&LIMIT, 1_000 * SECOND), (None, refused));
    }

    #[test]
    fn bytes_there_and_back() {
        let bucket = Bucket {
            full_at: 0x0102_0304_0506_0708,
        };
        assert_eq!(Bucket::from_bytes(&bucket.to_bytes()), bucket);
        assert_eq!(Bucket::from_bytes(b""), Bucket::default());
        assert_eq!(Bucket::from_bytes(b"123456789"), Bucket::default());
    }
}
