//! The process's ticker as a counter.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_engine::Ticker;

static BEATS: AtomicU64 = AtomicU64::new(0);

/// Starts to count, once a process.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        Ticker::register(|| {
            BEATS.fetch_add(1, Ordering::Relaxed);
            true
        });
    });
}

/// How often the ticker has beaten.
pub(crate) fn count() -> u64 {
    BEATS.load(Ordering::Relaxed)
}
