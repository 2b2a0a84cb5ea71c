//! Rendering the page of metrics, by the number of guests' metrics, their type, and whether their names collide. The unit
//! is CPU time, so that a busy machine shows little.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
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
            digits
                .bytes()
                .map(|digit| signs[usize::from(digit - b'0')])
                .collect()
        } else {
            format!("requests_by_route_{number:08}")
        };
        let id = cache.define(kind, name.as_bytes()).unwrap();
        cache.record(id, number as u64).unwrap();
    }
    shared
}

/// CPU time of the thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            now.tv_sec.unsigned_abs(),
            now.tv_nsec.try_into().unwrap_or_default(),
        )
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn pages(criterion: &mut Criterion<CpuTime>) {
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
                    group.throughput(Throughput::Bytes(render(&shared, format).len() as u64));
                    group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                        bencher.iter(|| render(&shared, format));
                    });
                }
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = pages
}
criterion_main!(benches);
