//! One callback into a guest that does nothing, and single hostcalls from inside a callback.

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_benches::{Bench, EMPTY, GET_PAIRS, GET_VALUE, engines};
use weir_host::{ForeignFunctions, Shared};

fn callback(criterion: &mut Criterion) {
    for engine in engines() {
        let mut bench = Bench::start(&*engine, EMPTY, &Shared::new(ForeignFunctions::default()));
        criterion.bench_function(&format!("{}/empty callback", engine.name()), |bencher| {
            bencher.iter(|| bench.callback(0));
        });
    }
}

fn hostcalls(criterion: &mut Criterion) {
    for engine in engines() {
        for (name, guest) in [
            ("get_header_map_value", GET_VALUE),
            ("get_header_map_pairs of 20", GET_PAIRS),
        ] {
            let mut bench = Bench::start(&*engine, guest, &Shared::new(ForeignFunctions::default()));
            criterion.bench_function(&format!("{}/{name}", engine.name()), |bencher| {
                // All iterations in one callback: the entry into the guest vanishes in the mean.
                bencher.iter_custom(|times| {
                    let since = Instant::now();
                    bench.callback(times);
                    since.elapsed()
                });
            });
        }
    }
}

criterion_group!(benches, callback, hostcalls);
criterion_main!(benches);
