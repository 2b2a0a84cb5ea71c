//! A trial's view of shared state over 10, 1,000 and 100,000 keys: made, used as a guest does while it is configured, and
//! dropped. The last bench fills a store with as many keys, which is what copying them would cost.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use weir_abi::ContextId;
use weir_state::{MemoryStore, QueueWaker, Store, Stores};

struct Nobody;

impl QueueWaker for Nobody {
    fn wake(&self, _: ContextId, _: u32) {}
}

const KEYS: [u32; 3] = [10, 1_000, 100_000];
const VALUE: [u8; 100] = [7; 100];

fn fill(store: &dyn Store, keys: u32) {
    for key in 0..keys {
        // Within the limits, so it is kept.
        let _ = store.set(&key.to_le_bytes(), &VALUE, 0);
    }
}

fn trial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trial");
    for keys in KEYS {
        let stores = Stores::default();
        fill(&*stores.of("vm"), keys);
        group.bench_function(BenchmarkId::new("overlay", keys), |bencher| {
            bencher.iter(|| {
                let overlay = stores.overlay();
                let mut handle = overlay.handle("vm", 1, Arc::new(Nobody));
                let mut value = Vec::new();
                let cas = handle.store().get(&1u32.to_le_bytes(), &mut value);
                let set = handle.store().set(&1u32.to_le_bytes(), b"new", cas.unwrap_or(0));
                let queue = ContextId::new(1).map(|plugin| handle.register(b"queue", plugin));
                black_box((set, queue))
            });
        });
        group.bench_function(BenchmarkId::new("as many keys set anew", keys), |bencher| {
            bencher.iter(|| {
                let copy = MemoryStore::default();
                fill(&copy, keys);
                copy
            });
        });
    }
    group.finish();
}

criterion_group!(benches, trial);
criterion_main!(benches);
