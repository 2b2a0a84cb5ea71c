//! Metrics that guests define.

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
        writer.family(&named.name, named.kind, &metric.name, |family| match &metric.value {
            MetricValue::Counter(value) => family.sample(&[], value),
            MetricValue::Gauge(value) => family.sample(&[], value),
            MetricValue::Histogram(histogram) => write_histogram(family, histogram),
        });
    }
}

fn write_histogram(family: &mut Family<'_>, histogram: &HistogramSnapshot) {
    for (bound, cumulative) in HISTOGRAM_BOUNDS.into_iter().zip(histogram.cumulative) {
        match family.format() {
            Format::Text => family.bucket(&[], itoa::Buffer::new().format(bound), cumulative),
            Format::OpenMetrics => family.bucket(&[], &canonical(bound), cumulative),
        }
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
    use super::*;

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
