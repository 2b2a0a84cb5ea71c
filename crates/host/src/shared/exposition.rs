//! Metrics in Prometheus' text format.

use std::collections::HashSet;
use std::fmt::Write;

use super::metrics::{HISTOGRAM_BOUNDS, HistogramSnapshot, MetricSnapshot, MetricValue};

/// Renders metrics in text format 0.0.4.
pub(super) fn render(prefix: &str, metrics: &[MetricSnapshot]) -> String {
    let mut out = String::new();
    let mut taken = HashSet::new();
    for metric in metrics {
        let name = unique(prefix, metric, &mut taken);
        // Writing to a string does not fail.
        let _ = write(&mut out, &name, metric);
    }
    out
}

fn write(out: &mut String, name: &str, metric: &MetricSnapshot) -> std::fmt::Result {
    let help = metric.name.replace('\\', "\\\\").replace('\n', "\\n");
    writeln!(out, "# HELP {name} {help}")?;
    match &metric.value {
        MetricValue::Counter(value) => writeln!(out, "# TYPE {name} counter\n{name} {value}"),
        MetricValue::Gauge(value) => writeln!(out, "# TYPE {name} gauge\n{name} {value}"),
        MetricValue::Histogram(histogram) => write_histogram(out, name, histogram),
    }
}

fn write_histogram(out: &mut String, name: &str, histogram: &HistogramSnapshot) -> std::fmt::Result {
    writeln!(out, "# TYPE {name} histogram")?;
    for (bound, cumulative) in HISTOGRAM_BOUNDS.iter().zip(histogram.cumulative) {
        writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {cumulative}")?;
    }
    writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", histogram.count)?;
    writeln!(
        out,
        "{name}_sum {}\n{name}_count {}",
        histogram.sum, histogram.count
    )
}

/// A name for a metric that no line before has used.
fn unique(prefix: &str, metric: &MetricSnapshot, taken: &mut HashSet<String>) -> String {
    let base = sanitised(prefix, &metric.name);
    let suffixes: &[&str] = match metric.value {
        MetricValue::Histogram(_) => &["", "_bucket", "_sum", "_count"],
        _ => &[""],
    };
    let mut name = base.clone();
    let mut number = 2;
    while suffixes
        .iter()
        .any(|suffix| taken.contains(&format!("{name}{suffix}")))
    {
        name = format!("{base}_{number}");
        number += 1;
    }
    taken.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    name
}

/// A name of the characters that Prometheus takes, which does not begin with a digit.
fn sanitised(prefix: &str, name: &str) -> String {
    let mut out: String = prefix.chars().chain(name.chars()).map(legal).collect();
    if out.is_empty() || out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

fn legal(character: char) -> char {
    if character.is_ascii_alphanumeric() || character == ':' {
        character
    } else {
        '_'
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_abi::MetricType;

    use super::*;
    use crate::Metrics;

    fn text(define: &[(MetricType, &str, u64)]) -> String {
        let metrics = Metrics::default();
        let mut cache = metrics.cache();
        for (kind, name, value) in define {
            let id = cache.define(*kind, name.as_bytes()).unwrap();
            cache.record(id, *value).unwrap();
        }
        metrics.render_prometheus("")
    }

    #[test]
    fn counters_and_gauges() {
        let text = text(&[
            (MetricType::Counter, "a.b", 3),
            (MetricType::Gauge, "7\n\\up", u64::MAX),
        ]);
        assert_eq!(
            text,
            "# HELP a_b a.b\n# TYPE a_b counter\na_b 3\n# HELP _7__up 7\\n\\\\up\n# TYPE _7__up gauge\n_7__up -1\n"
        );
    }

    #[test]
    fn histograms() {
        let text = text(&[(MetricType::Histogram, "h", 3)]);
        assert!(text.starts_with("# HELP h h\n# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"2\"} 0\nh_bucket{le=\"5\"} 1\n"));
        assert!(text.ends_with("h_bucket{le=\"+Inf\"} 1\nh_sum 3\nh_count 1\n"));
    }

    #[test]
    fn names_that_become_one_are_told_apart() {
        let text = text(&[
            (MetricType::Counter, "a.b", 1),
            (MetricType::Counter, "a_b", 2),
            (MetricType::Counter, "h_sum", 3),
            (MetricType::Histogram, "h", 4),
        ]);
        assert!(text.contains("\na_b 1\n") && text.contains("\na_b_2 2\n"));
        assert!(text.contains("\nh_sum 3\n") && text.contains("\nh_2_sum 4\n"));
    }

    #[test]
    fn a_prefix_comes_before_the_name() {
        let metrics = Metrics::default();
        metrics.cache().define(MetricType::Counter, b"9").unwrap();
        assert!(
            metrics
                .render_prometheus("weir_wasm_")
                .contains("\nweir_wasm_9 0\n")
        );
    }

    proptest! {
        #[test]
        fn every_line_is_well_formed(names in prop::collection::hash_set(".{0,12}", 0..12)) {
            let names: Vec<_> = names.iter().map(|name| (MetricType::Counter, name.as_str(), 1)).collect();
            let text = text(&names);
            let mut seen = HashSet::new();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (name, value) = line.split_once(' ').expect("a name and a value");
                prop_assert!(value == "1" && seen.insert(name.to_owned()), "{line}");
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)), "{line}");
                prop_assert!(!name.starts_with(|first: char| first.is_ascii_digit()), "{line}");
            }
            prop_assert_eq!(seen.len(), names.len());
        }
    }
}
