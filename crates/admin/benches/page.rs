//! Rendering the page of metrics, by the number of guests' metrics, their type, and whether their names collide.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use weir_abi::MetricType;
use weir_admin::{Format, render};
use weir_host::{ForeignFunctions, Shared};

/// A process whose guests have defined so many metrics. Colliding names all become `wasm_________`.
fn with(count: usize, kind: MetricType, collide: bool) -> Shared {
    let shared = Shared::new(ForeignFunctions::default());
    let mut cache = shared.metrics().cache();
    let signs = ['.', '-', '/', ' ', '%', '#', '+', '!', '@', '~'];
    for number in 0..count {
        let name = if collide {
            let digits = format!("{number:08}");
            digits.bytes().map(|digit| signs[usize::from(digit - b'0')]).collect()
        } else {
            format!("requests_by_route_{number:08}")
        };
        let id = cache.define(kind, name.as_bytes()).unwrap();
        cache.record(id, number as u64).unwrap();
    }
    shared
}

fn pages(criterion: &mut Criterion) {
    for (format, format_name) in [(Format::Text, "text"), (Format::OpenMetrics, "OpenMetrics")] {
        for (kind, kind_name) in [
            (MetricType::Counter, "counters"),
            (MetricType::Histogram, "histograms"),
        ] {
            for (collide, names) in [(false, "distinct names"), (true, "colliding names")] {
                let mut group = criterion.benchmark_group(format!("{format_name}, {kind_name}, {names}"));
                group.sample_size(10);
                for count in [10, 1_000, 10_000] {
                    let shared = with(count, kind, collide);
                    group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                        bencher.iter(|| render(&shared, format));
                    });
                }
            }
        }
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
