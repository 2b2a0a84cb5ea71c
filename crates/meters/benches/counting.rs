//! What counting costs: a counter, and the time of one callback.

use criterion::{Criterion, criterion_group, criterion_main};
use weir_abi::Callback;
use weir_meters::Meters;

fn counting(criterion: &mut Criterion) {
    let meters = Meters::default();
    criterion.bench_function("counter", |bencher| {
        bencher.iter(|| meters.streams.increment());
    });
    let plugin = meters.plugin("auth");
    let time = || {
        let Some(clock) = meters.clock() else { return };
        let since = clock.raw();
        let took = clock.delta_as_nanos(std::hint::black_box(since), clock.raw());
        plugin.callback_took(Callback::RequestHeaders, took);
    };
    criterion.bench_function("a callback that is not timed", |bencher| bencher.iter(time));
    meters.time_callbacks();
    criterion.bench_function("a callback that is timed", |bencher| bencher.iter(time));
}

criterion_group!(benches, counting);
criterion_main!(benches);
