//! Ticks each millisecond, and keeps its thread in each tick for as many milliseconds as its configuration has bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use bench_guests::{keep_thread, tick_each_millisecond};

static MILLISECONDS: AtomicU64 = AtomicU64::new(0);

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, size: u32) -> u32 {
    MILLISECONDS.store(size.into(), Ordering::Relaxed);
    tick_each_millisecond();
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(_: u32) {
    keep_thread(MILLISECONDS.load(Ordering::Relaxed));
}
