//! Samples to a table.

use std::fmt::Write;

use super::wrk::Sample;

/// All samples of one subject.
pub struct Row {
    label: String,
    /// One a round.
    pub samples: Vec<Sample>,
}

impl Row {
    /// A row without samples.
    pub fn new(label: String) -> Self {
        Self {
            label,
            samples: Vec::new(),
        }
    }

    /// Requests a second, one a round.
    pub fn rates(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.requests_per_second)
    }

    /// CPU seconds for 100,000 requests, round by round.
    pub fn cpu(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.cpu_per_100k)
    }
}

/// A Markdown table: median CPU seconds for 100,000 requests with the range of the rounds, and median throughput.
pub fn table(what: &str, rows: &[Row]) -> String {
    let mut table = format!(
        "\n| {what} | CPU s for 100,000 requests (median) | range | requests/s (median) |\n|---|---|---|---|\n",
    );
    for row in rows {
        let cpu = sorted(row.cpu());
        let rate = sorted(row.rates());
        let (low, high) = (
            cpu.first().copied().unwrap_or(f64::NAN),
            cpu.last().copied().unwrap_or(f64::NAN),
        );
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {} | {:.2} | {low:.2}-{high:.2} | {:.0} |",
            row.label,
            median(&cpu),
            median(&rate)
        );
    }
    table
}

/// Values in their order.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of values in their order.
pub fn median(sorted: &[f64]) -> f64 {
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        (at(middle.wrapping_sub(1)) + at(middle)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranges() {
        let sample = |cpu| Sample {
            cpu_per_100k: cpu,
            requests_per_second: 1000.0 * cpu,
        };
        let row = Row {
            label: "weir".into(),
            samples: [3.0, 1.0, 2.0].map(sample).to_vec(),
        };
        assert!(table("proxy", &[row]).ends_with("| weir | 2.00 | 1.00-3.00 | 2000 |\n"));
        assert_eq!(median(&[1.0, 2.0]), 1.5);
    }
}
