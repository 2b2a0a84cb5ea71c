//! `proxy_set_shared_data` of one key from one thread, and from two at the same time.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use weir_benches::{Bench, SET_SHARED_DATA, engines};
use weir_host::{ForeignFunctions, Shared};

fn set_shared_data(criterion: &mut Criterion) {
    for engine in engines() {
        for threads in [1, 2] {
            let shared = Shared::new(ForeignFunctions::default());
            let start = |_| Bench::start(&*engine, SET_SHARED_DATA, &shared);
            let mut benches: Vec<_> = (0..threads).map(start).collect();
            let name = format!("{}/set_shared_data, {threads} thread(s)", engine.name());
            criterion.bench_function(&name, |bencher| {
                bencher.iter_custom(|times| together(&mut benches, times))
            });
        }
    }
}

/// Every VM on a thread of its own, `times` calls each, begun at the same moment; the slowest counts.
fn together(benches: &mut [Bench], times: u64) -> Duration {
    let barrier = Barrier::new(benches.len());
    std::thread::scope(|scope| {
        let start = |bench| {
            let barrier = &barrier;
            scope.spawn(move || timed(bench, times, barrier))
        };
        let threads: Vec<_> = benches.iter_mut().map(start).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .max()
            .unwrap_or_default()
    })
}

fn timed(bench: &mut Bench, times: u64, barrier: &Barrier) -> Duration {
    barrier.wait();
    let since = Instant::now();
    bench.callback(times);
    since.elapsed()
}

criterion_group!(benches, set_shared_data);
criterion_main!(benches);
