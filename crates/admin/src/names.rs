//! Names of guests' metrics: a guest may take any text, Prometheus takes few characters.

use std::collections::{HashMap, HashSet};

use weir_host::{MetricSnapshot, MetricValue};

use crate::writer::Kind;

/// The prefix of the names of guests' metrics.
pub(crate) const PREFIX: &str = "wasm_";

/// The suffixes of a histogram's names: OpenMetrics keeps these names, and one more, from all others.
const OF_HISTOGRAM: &[&str] = &["", "_bucket", "_sum", "_count", "_created"];

/// A metric's name on the page, and its type.
pub(crate) struct Named {
    pub name: String,
    pub kind: Kind,
}

/// Names for metrics, in their order; the same for both formats.
///
/// Characters that Prometheus does not take become `_`. Where a name is taken by a metric before, the later gets the first
/// number from 2 that makes the name its own.
pub(crate) fn assign(metrics: &[MetricSnapshot]) -> Vec<Named> {
    let mut names = Names::default();
    let mut named: Vec<Named> = metrics.iter().map(|metric| names.assign(metric)).collect();
    // OpenMetrics takes `_total` off the family's name, which may be another metric's.
    for named in &mut named {
        if let Some(family) = named.name.strip_suffix("_total")
            && named.kind == Kind::CounterOfAnyName
            && !family.is_empty()
            && !names.taken.contains(family)
            && !names.taken.contains(&format!("{family}_created"))
        {
            named.kind = Kind::Counter;
        }
    }
    named
}

#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The number to try next for a name that is taken. All before are taken for good, so that many metrics with one name
    /// do not try the same numbers over and over.
    next: HashMap<(String, bool), usize>,
}

impl Names {
    fn assign(&mut self, metric: &MetricSnapshot) -> Named {
        let (kind, suffixes) = match metric.value {
            MetricValue::Counter(_) => (Kind::CounterOfAnyName, &OF_HISTOGRAM[..1]),
            MetricValue::Gauge(_) => (Kind::Gauge, &OF_HISTOGRAM[..1]),
            MetricValue::Histogram(_) => (Kind::Histogram, OF_HISTOGRAM),
        };
        let mut name = sanitised(&metric.name);
        if !self.is_free(&mut name, suffixes) {
            let base = name.len();
            let key = (name.clone(), kind == Kind::Histogram);
            let mut number = self.next.get(&key).copied().unwrap_or(2);
            loop {
                name.truncate(base);
                name.push('_');
                name.push_str(itoa::Buffer::new().format(number));
                number += 1;
                if self.is_free(&mut name, suffixes) {
                    break;
                }
            }
            self.next.insert(key, number);
        }
        for suffix in suffixes {
            self.taken.insert(format!("{name}{suffix}"));
        }
        Named { name, kind }
    }

    /// True if no metric has taken the name with any of the suffixes. Leaves the name as it was.
    fn is_free(&self, name: &mut String, suffixes: &[&str]) -> bool {
        let base = name.len();
        suffixes.iter().all(|suffix| {
            name.push_str(suffix);
            let free = !self.taken.contains(name.as_str());
            name.truncate(base);
            free
        })
    }
}

/// A name of the characters that Prometheus takes.
fn sanitised(name: &str) -> String {
    let legal = |character: char| {
        if character.is_ascii_alphanumeric() || character == ':' {
            character
        } else {
            '_'
        }
    };
    PREFIX.chars().chain(name.chars().map(legal)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_host::HistogramSnapshot;

    use super::*;

    fn metric(kind: u8, name: &str) -> MetricSnapshot {
        let histogram = HistogramSnapshot {
            cumulative: [0; weir_host::HISTOGRAM_BOUNDS.len()],
            count: 0,
            sum: 0,
        };
        MetricSnapshot {
            name: name.into(),
            value: match kind {
                0 => MetricValue::Counter(0),
                1 => MetricValue::Gauge(0),
                _ => MetricValue::Histogram(Box::new(histogram)),
            },
        }
    }

    fn names(metrics: &[(u8, &str)]) -> Vec<String> {
        let metrics: Vec<_> = metrics.iter().map(|(kind, name)| metric(*kind, name)).collect();
        assign(&metrics).into_iter().map(|named| named.name).collect()
    }

    /// The naming rule written down plainly: try every number from 2.
    fn reference(metrics: &[(u8, String)]) -> Vec<String> {
        let mut taken: Vec<String> = Vec::new();
        let assign = |(kind, name): &(u8, String)| {
            let suffixes = if *kind == 2 { OF_HISTOGRAM } else { &[""] };
            let base = sanitised(name);
            let numbered = (2..).map(|number| format!("{base}_{number}"));
            let own = std::iter::once(base.clone())
                .chain(numbered)
                .find(|name| {
                    suffixes
                        .iter()
                        .all(|suffix| !taken.contains(&format!("{name}{suffix}")))
                })
                .unwrap_or_default();
            taken.extend(suffixes.iter().map(|suffix| format!("{own}{suffix}")));
            own
        };
        metrics.iter().map(assign).collect()
    }

    #[test]
    fn names_that_become_one_are_told_apart() {
        assert_eq!(
            names(&[(0, "a.b"), (0, "a_b"), (0, "h_sum"), (2, "h"), (1, "7\nµ")]),
            ["wasm_a_b", "wasm_a_b_2", "wasm_h_sum", "wasm_h_2", "wasm_7__"]
        );
    }

    #[test]
    fn a_counter_is_unknown_to_open_metrics_where_its_family_is_taken() {
        let kinds = |metrics: &[(u8, &str)]| {
            let metrics: Vec<_> = metrics.iter().map(|(kind, name)| metric(*kind, name)).collect();
            let named = assign(&metrics).into_iter();
            named.map(|named| named.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&[(0, "a_total")]), [Kind::Counter]);
        assert_eq!(
            kinds(&[(0, "a_total"), (1, "a")]),
            [Kind::CounterOfAnyName, Kind::Gauge]
        );
        assert_eq!(
            kinds(&[(1, "a_created"), (0, "a_total")]),
            [Kind::Gauge, Kind::CounterOfAnyName]
        );
        assert_eq!(kinds(&[(0, "a")]), [Kind::CounterOfAnyName]);
    }

    proptest! {
        #[test]
        fn names_are_those_of_the_plain_rule(
            metrics in prop::collection::vec((0_u8..3, "[a.](_[23]|_sum|_count)?(_2)?"), 0..40),
        ) {
            let given: Vec<_> = metrics.iter().map(|(kind, name)| metric(*kind, name)).collect();
            let named: Vec<_> = assign(&given).into_iter().map(|named| named.name).collect();
            prop_assert_eq!(named, reference(&metrics));
        }
    }
}
