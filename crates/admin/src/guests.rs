//! Metrics that guests define.

use std::sync::LazyLock;

use weir_host::{HISTOGRAM_BOUNDS, HistogramSnapshot, MetricSnapshot, MetricValue};

use crate::names;
use crate::writer::{Family, Format, Writer};

/// Bytes of a page for a metric, and for a histogram: a guess that saves growing the page step by step.
const USUAL: [usize; 2] = [128, 2048];

/// Writes the metrics of guests. The guest's own name stands in the `HELP` line.
pub(crate) fn write(writer: &mut Writer, metrics: &[MetricSnapshot]) {
    let is_histogram = |metric: &&MetricSnapshot| matches!(metric.value, MetricValue::Histogram(_));
    let histograms = metrics.iter().filter(is_histogram).count();
    writer.reserve((metrics.len() - histograms) * USUAL[0] + histograms * USUAL[1]);
    for (metric, named) in metrics.iter().zip(names::assign(metrics)) {
        writer.family(&named.name, named.kind, &metric.name, |family| {
            match &metric.value {
                MetricValue::Counter(value) => family.sample(&[], value),
                MetricValue::Gauge(value) => family.sample(&[], value),
                MetricValue::Histogram(histogram) => write_histogram(family, histogram),
            }
        });
    }
}

fn write_histogram(family: &mut Family<'_>, histogram: &HistogramSnapshot) {
    /// The text between the name and the value of each bucket: with ten thousand histograms there are hundreds of
    /// thousands of buckets on a page.
    static BUCKETS: LazyLock<[Vec<String>; 2]> = LazyLock::new(|| {
        let bucket = |bound: String| format!("_bucket{{le=\"{bound}\"}} ");
        let bounds = || HISTOGRAM_BOUNDS.into_iter();
        [
            bounds().map(|bound| bucket(bound.to_string())).collect(),
            bounds().map(|bound| bucket(canonical(bound))).collect(),
        ]
    });
    let buckets = match family.format() {
        Format::Text => &BUCKETS[0],
        Format::OpenMetrics => &BUCKETS[1],
    };
    for (bucket, cumulative) in buckets.iter().zip(histogram.cumulative) {
        family.ready_made(bucket, cumulative);
    }
    family.totals(&[], histogram.sum, histogram.count);
}

/// A bound as OpenMetrics spells numbers in labels: `5.0`, `100000.0`, `2e+06`.
fn canonical(bound: u64) -> String {
    if bound < 1_000_000 {
        return format!("{bound}.0");
    }
    let exponent = bound.ilog10();
    format!("{}e+{exponent:02}", bound / 10_u64.pow(exponent))
}

#[cfg(test)]
mod tests {
    use weir_abi::MetricType;
    use weir_host::Metrics;

    use super::*;

    fn text(define: &[(MetricType, &str, u64)]) -> String {
        let metrics = Metrics::default();
        let mut cache = metrics.cache();
        for (kind, name, value) in define {
            let id = cache.define(*kind, name.as_bytes()).unwrap();
            cache.record(id, *value).unwrap();
        }
        let mut writer = Writer::new(Format::Text, usize::MAX);
        write(&mut writer, &metrics.snapshot());
        writer.finish()
    }

    #[test]
    fn counters_and_gauges_are_lines_of_their_types() {
        let text = text(&[
            (MetricType::Counter, "a.b", 3),
            (MetricType::Gauge, "7\n\\up", u64::MAX),
        ]);
        assert_eq!(
            text,
            "# HELP wasm_a_b a.b\n# TYPE wasm_a_b counter\nwasm_a_b 3\n\
             # HELP wasm_7__up 7\\n\\\\up\n# TYPE wasm_7__up gauge\nwasm_7__up -1\n"
        );
    }

    #[test]
    fn histograms_have_buckets_sum_and_count() {
        let text = text(&[(MetricType::Histogram, "h", 3)]);
        assert!(text.starts_with(
            "# HELP wasm_h h\n# TYPE wasm_h histogram\nwasm_h_bucket{le=\"1\"} 0\nwasm_h_bucket{le=\"2\"} 0\n\
             wasm_h_bucket{le=\"5\"} 1\n"
        ));
        assert!(text.ends_with("wasm_h_bucket{le=\"+Inf\"} 1\nwasm_h_sum 3\nwasm_h_count 1\n"));
    }

    #[test]
    fn names_that_become_one_are_told_apart() {
        let text = text(&[
            (MetricType::Counter, "a.b", 1),
            (MetricType::Counter, "a_b", 2),
            (MetricType::Counter, "h_sum", 3),
            (MetricType::Histogram, "h", 4),
        ]);
        assert!(text.contains("\nwasm_a_b 1\n") && text.contains("\nwasm_a_b_2 2\n"));
        assert!(text.contains("\nwasm_h_sum 3\n") && text.contains("\nwasm_h_2_sum 4\n"));
    }

    #[test]
    fn bounds_are_spelled_canonically() {
        let spelled: Vec<String> = HISTOGRAM_BOUNDS.into_iter().map(canonical).collect();
        for expected in ["1.0", "50.0", "500000.0", "1e+06", "2e+06", "5e+12"] {
            assert!(spelled.iter().any(|spelled| spelled == expected), "{spelled:?}");
        }
        for (spelled, bound) in spelled.iter().zip(HISTOGRAM_BOUNDS) {
            assert_eq!(spelled.parse::<f64>().unwrap() as u64, bound);
        }
    }
}
