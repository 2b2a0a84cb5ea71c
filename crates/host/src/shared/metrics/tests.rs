use proptest::prelude::*;

use super::*;

fn value(metrics: &Metrics, name: &str) -> MetricValue {
    metrics
        .snapshot()
        .into_iter()
        .find(|metric| metric.name == name)
        .expect("defined")
        .value
}

#[test]
fn a_vm_id_takes_nothing_of_anothers_metrics() {
    let metrics = Metrics::default();
    let (mut greedy, mut other) = (metrics.cache_of("greedy"), metrics.cache_of("other"));
    let mut defined = 0;
    while greedy
        .define(MetricType::Counter, format!("m{defined}").as_bytes())
        .is_ok()
    {
        defined += 1;
    }
    assert_eq!(defined, MAX_METRICS);
    let id = other.define(MetricType::Counter, b"mine").unwrap();
    assert!(id < NO_METRIC && other.define(MetricType::Counter, b"m0").is_ok());
    let mut trial = metrics.overlay().cache_of("greedy");
    assert_eq!(
        trial.define(MetricType::Counter, b"tried"),
        Err(Status::InternalFailure)
    );
    assert!(trial.define(MetricType::Counter, b"m0").is_ok());
}

#[test]
fn metrics_count_for_the_process() {
    let ceiling = Ceiling::new(1 << 20);
    let metrics = Metrics::under(&ceiling);
    let mut cache = metrics.cache();
    let mut defined = 0;
    while cache
        .define(MetricType::Histogram, format!("m{defined}").as_bytes())
        .is_ok()
    {
        defined += 1;
    }
    assert!((500..2000).contains(&defined), "{defined}");
}

#[test]
fn what_could_not_be_defined_counts_nothing() {
    let mut cache = Metrics::default().cache();
    assert_eq!(cache.increment(NO_METRIC, -1), Ok(()));
    assert_eq!(cache.record(NO_METRIC, 7), Ok(()));
    assert_eq!(cache.value(NO_METRIC), Ok(0));
}

#[test]
fn names_are_shared_and_keep_their_type() {
    let metrics = Metrics::default();
    let (mut first, mut second) = (metrics.cache(), metrics.cache());
    let id = first.define(MetricType::Counter, b"requests").unwrap();
    assert_ne!(id, 0);
    assert_eq!(second.define(MetricType::Counter, b"requests"), Ok(id));
    assert_eq!(
        second.define(MetricType::Gauge, b"requests"),
        Err(Status::BadArgument)
    );
    first.increment(id, 2).unwrap();
    second.increment(id, 3).unwrap();
    assert_eq!(first.value(id), Ok(5));
    assert_eq!(value(&metrics, "requests"), MetricValue::Counter(5));
}

#[test]
fn a_number_defined_by_another_vm_works() {
    let metrics = Metrics::default();
    let mut first = metrics.cache();
    first.define(MetricType::Counter, b"a").unwrap();
    let id = first.define(MetricType::Gauge, b"b").unwrap();
    assert_eq!(metrics.cache().record(id, 7), Ok(()));
    assert_eq!(first.value(id), Ok(7));
}

#[test]
fn counters_only_grow() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    let id = cache.define(MetricType::Counter, b"c").unwrap();
    for delta in [0, -1, i64::MIN] {
        assert_eq!(cache.increment(id, delta), Err(Status::BadArgument));
    }
    cache.increment(id, i64::MAX).unwrap();
    cache.record(id, 1).unwrap();
    assert_eq!(cache.value(id), Ok(1 << 63));
}

#[test]
fn gauges_go_below_zero() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    let id = cache.define(MetricType::Gauge, b"g").unwrap();
    cache.record(id, 5).unwrap();
    cache.increment(id, -8).unwrap();
    assert_eq!(cache.value(id), Ok((-3_i64).cast_unsigned()));
    assert_eq!(value(&metrics, "g"), MetricValue::Gauge(-3));
}

#[test]
fn histograms_hold_samples_in_buckets() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    let id = cache.define(MetricType::Histogram, b"h").unwrap();
    assert_eq!(cache.increment(id, 1), Err(Status::BadArgument));
    assert_eq!(cache.value(id), Err(Status::BadArgument));
    for sample in [0, 1, 2, 3, u64::MAX] {
        cache.record(id, sample).unwrap();
    }
    let MetricValue::Histogram(histogram) = value(&metrics, "h") else {
        panic!("a histogram")
    };
    assert_eq!(histogram.cumulative[..3], [2, 3, 4]);
    assert_eq!(histogram.cumulative[BOUNDS - 1], 4);
    assert_eq!((histogram.count, histogram.sum), (5, u64::MAX));
    assert_eq!(HISTOGRAM_BOUNDS[..4], [1, 2, 5, 10]);
    assert_eq!(HISTOGRAM_BOUNDS[BOUNDS - 1], 5_000_000_000_000);
}

#[test]
fn numbers_that_nobody_defined() {
    let mut cache = Metrics::default().cache();
    for id in [0, 1, u32::MAX] {
        assert_eq!(cache.increment(id, 1), Err(Status::NotFound));
        assert_eq!(cache.record(id, 1), Err(Status::NotFound));
        assert_eq!(cache.value(id), Err(Status::NotFound));
    }
}

#[test]
fn limits_hold() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    assert_eq!(
        cache.define(MetricType::Counter, &[b'n'; MAX_METRIC_NAME + 1]),
        Err(Status::BadArgument)
    );
    for i in 0..MAX_METRICS {
        cache
            .define(MetricType::Counter, i.to_string().as_bytes())
            .unwrap();
    }
    assert_eq!(
        cache.define(MetricType::Counter, b"more"),
        Err(Status::InternalFailure)
    );
    assert!(cache.define(MetricType::Counter, b"17").is_ok());
}

#[test]
fn threads_lose_no_count() {
    let metrics = Metrics::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut cache = metrics.cache();
                let id = cache.define(MetricType::Counter, b"c").unwrap();
                (0..1000).for_each(|_| cache.increment(id, 1).unwrap());
            });
        }
    });
    assert_eq!(value(&metrics, "c"), MetricValue::Counter(4000));
}

#[test]
fn an_overlay_keeps_types_and_numbers_and_starts_at_zero() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    let id = cache.define(MetricType::Counter, b"c").unwrap();
    cache.increment(id, 5).unwrap();
    let overlay = metrics.overlay();
    assert_eq!(overlay.cache().define(MetricType::Counter, b"c"), Ok(id));
    assert_eq!(
        overlay.cache().define(MetricType::Gauge, b"c"),
        Err(Status::BadArgument)
    );
    overlay.cache().increment(id, 1).unwrap();
    assert_eq!(cache.value(id), Ok(5));
    assert_eq!(value(&overlay, "c"), MetricValue::Counter(1));
}

#[test]
fn an_overlay_finds_metrics_by_number_alone() {
    let metrics = Metrics::default();
    let id = metrics.cache().define(MetricType::Gauge, b"g").unwrap();
    let mut trial = metrics.overlay().cache();
    assert_eq!(trial.increment(id, -3), Ok(()));
    assert_eq!(trial.value(id), Ok((-3_i64).cast_unsigned()));
    assert_eq!(metrics.cache().value(id), Ok(0));
    assert_eq!(trial.value(id + 1), Err(Status::NotFound));
}

#[test]
fn definitions_of_an_overlay_and_later_ones_below_do_not_meet() {
    let metrics = Metrics::default();
    let overlay = metrics.overlay();
    let tried = overlay.cache().define(MetricType::Counter, b"tried").unwrap();
    let real = metrics.cache().define(MetricType::Gauge, b"real").unwrap();
    assert_eq!(tried, real, "each numbers on from what existed");
    overlay.cache().increment(tried, 1).unwrap();
    assert_eq!(value(&overlay, "tried"), MetricValue::Counter(1));
    let later = overlay.cache().define(MetricType::Counter, b"real").unwrap();
    assert_ne!(later, tried, "one that came below is none of the overlay's");
    assert_eq!(metrics.snapshot().len(), 1);
    assert_eq!(value(&metrics, "real"), MetricValue::Gauge(0));
}

#[test]
fn the_limit_of_an_overlay_counts_what_exists() {
    let metrics = Metrics::default();
    let mut cache = metrics.cache();
    for i in 1..MAX_METRICS {
        cache
            .define(MetricType::Counter, i.to_string().as_bytes())
            .unwrap();
    }
    let mut trial = metrics.overlay().cache();
    assert!(trial.define(MetricType::Counter, b"7").is_ok());
    assert!(trial.define(MetricType::Counter, b"last").is_ok());
    assert_eq!(
        trial.define(MetricType::Counter, b"more"),
        Err(Status::InternalFailure)
    );
    assert!(cache.define(MetricType::Counter, b"last").is_ok());
}

proptest! {
    #[test]
    fn each_sample_is_in_the_first_bucket_that_holds_it(samples in prop::collection::vec(any::<u64>().prop_map(|n| n >> (n % 64)), 0..50)) {
        let metrics = Metrics::default();
        let mut cache = metrics.cache();
        let id = cache.define(MetricType::Histogram, b"h").unwrap();
        for sample in &samples {
            cache.record(id, *sample).unwrap();
        }
        let MetricValue::Histogram(histogram) = value(&metrics, "h") else { panic!("a histogram") };
        for (bound, cumulative) in HISTOGRAM_BOUNDS.iter().zip(histogram.cumulative) {
            prop_assert_eq!(cumulative, samples.iter().filter(|sample| *sample <= bound).count() as u64);
        }
        prop_assert_eq!(histogram.count, samples.len() as u64);
    }
}
