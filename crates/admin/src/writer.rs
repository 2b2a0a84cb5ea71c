//! Families of metrics, written in either format.

use std::fmt::Write;

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of a page in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A counter whose name ends with `_total`, as OpenMetrics demands.
    Counter,
    /// A counter with any other name. OpenMetrics has no such thing: there its type is unknown, and its name stays.
    CounterOfAnyName,
    Gauge,
    Histogram,
}

/// Writes families one after the other, up to a size.
pub(crate) struct Writer {
    out: String,
    format: Format,
    /// Bytes after which no further family is kept.
    limit: usize,
    left_out: usize,
}

/// A family that is being written.
pub(crate) struct Family<'a> {
    out: &'a mut String,
    name: &'a str,
    format: Format,
}

impl Writer {
    pub fn new(format: Format, limit: usize) -> Self {
        Self {
            out: String::new(),
            format,
            limit,
            left_out: 0,
        }
    }

    /// Makes room for so many bytes at once.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes.min(self.limit));
    }

    /// Writes a family; `write` writes its samples. A family that does not fit is left out as a whole.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str, write: impl FnOnce(&mut Family<'_>)) {
        let before = self.out.len();
        self.head(name, kind, help);
        write(&mut Family {
            out: &mut self.out,
            name,
            format: self.format,
        });
        if self.out.len() > self.limit {
            self.out.truncate(before);
            self.left_out += 1;
        }
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let open = self.format == Format::OpenMetrics;
        let kind_name = match kind {
            Kind::CounterOfAnyName if open => "unknown",
            Kind::Counter | Kind::CounterOfAnyName => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // In OpenMetrics `_total` belongs to the sample, not to the family.
        let family = match kind {
            Kind::Counter if open => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        for part in ["# HELP ", family, " "] {
            self.out.push_str(part);
        }
        escape(&mut self.out, help, open);
        for part in ["\n# TYPE ", family, " ", kind_name, "\n"] {
            self.out.push_str(part);
        }
    }

    /// Families that did not fit.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Has every further family written.
    pub fn lift_limit(&mut self) {
        self.limit = usize::MAX;
    }

    /// The page.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl Family<'_> {
    pub fn format(&self) -> Format {
        self.format
    }

    /// A sample. Values are written as [`std::fmt::Display`] writes them.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.start("", labels, None);
        // Writing to a string does not fail.
        let _ = writeln!(self.out, " {value}");
    }

    /// A sample of a histogram's bucket: as many samples up to `bound`, which is spelled as the format wants it.
    pub fn bucket(&mut self, labels: &[(&str, &str)], bound: &str, count: u64) {
        self.start("_bucket", labels, Some(bound));
        self.integer(count);
    }

    /// The last bucket of a histogram, and its totals.
    pub fn totals(&mut self, labels: &[(&str, &str)], sum: impl std::fmt::Display, count: u64) {
        self.bucket(labels, "+Inf", count);
        self.start("_sum", labels, None);
        // Writing to a string does not fail.
        let _ = writeln!(self.out, " {sum}");
        self.start("_count", labels, None);
        self.integer(count);
    }

    /// A sample whose labels are written out already: `rest` is all that stands between the family's name and the value.
    pub fn ready_made(&mut self, rest: &str, value: u64) {
        self.out.push_str(self.name);
        self.out.push_str(rest);
        self.out.push_str(itoa::Buffer::new().format(value));
        self.out.push('\n');
    }

    /// Name and labels of a sample.
    fn start(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        if labels.is_empty() && bound.is_none() {
            return;
        }
        let mut before = '{';
        for (name, value) in labels {
            self.out.push(before);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(self.out, value, true);
            self.out.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            self.out.push(before);
            for part in ["le=\"", bound, "\""] {
                self.out.push_str(part);
            }
        }
        self.out.push('}');
    }

    /// The value of a sample.
    fn integer(&mut self, value: u64) {
        self.out.push(' ');
        self.out.push_str(itoa::Buffer::new().format(value));
        self.out.push('\n');
    }
}

/// Writes a text with what would end it escaped.
fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format, write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::new(format, 1000);
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn counters_lose_their_suffix_in_the_family_of_open_metrics_only() {
        let write = |writer: &mut Writer| {
            writer.family("a_total", Kind::Counter, "Say \"a\".", |family| {
                family.sample(&[("x", "1\n"), ("y", "\"")], 3);
            });
        };
        let sample = "a_total{x=\"1\\n\",y=\"\\\"\"} 3\n";
        assert_eq!(
            page(Format::Text, write),
            format!("# HELP a_total Say \"a\".\n# TYPE a_total counter\n{sample}")
        );
        assert_eq!(
            page(Format::OpenMetrics, write),
            format!("# HELP a Say \\\"a\\\".\n# TYPE a counter\n{sample}# EOF\n")
        );
    }

    #[test]
    fn counters_of_any_name_keep_it() {
        let write = |writer: &mut Writer| {
            writer.family("hits", Kind::CounterOfAnyName, "h", |family| {
                family.sample(&[], 1)
            });
        };
        assert!(page(Format::Text, write).ends_with("# TYPE hits counter\nhits 1\n"));
        assert!(page(Format::OpenMetrics, write).ends_with("# TYPE hits unknown\nhits 1\n# EOF\n"));
    }

    #[test]
    fn histograms_have_buckets_and_totals() {
        let text = page(Format::Text, |writer| {
            writer.family("h", Kind::Histogram, "h", |family| {
                family.bucket(&[("p", "a")], "1.0", 2);
                family.totals(&[("p", "a")], 0.5, 3);
            });
        });
        assert!(text.ends_with(
            "h_bucket{p=\"a\",le=\"1.0\"} 2\nh_bucket{p=\"a\",le=\"+Inf\"} 3\nh_sum{p=\"a\"} 0.5\nh_count{p=\"a\"} 3\n"
        ));
    }

    #[test]
    fn families_that_do_not_fit_are_left_out_whole() {
        let mut writer = Writer::new(Format::Text, 100);
        for name in ["first", "second", "third"] {
            writer.family(name, Kind::Gauge, &"x".repeat(40), |family| family.sample(&[], 1));
        }
        assert_eq!(writer.left_out(), 2);
        let text = writer.finish();
        assert!(text.ends_with("first 1\n") && !text.contains("second"), "{text}");
    }
}
