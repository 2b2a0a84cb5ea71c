//! The page of metrics.

use weir_host::Shared;

use crate::writer::{Format, Kind, Writer};
use crate::{guests, process};

/// Most bytes of a page. A guest can make ten thousand histograms with names of a kilobyte; families beyond this size are
/// left out, and counted in `weir_metrics_left_out`. Metrics of the process come first, so that they are always there.
pub const MAX_PAGE: usize = 64 << 20;

/// Renders the metrics of the process and those of guests. Takes some tens of milliseconds with ten thousand metrics, so it
/// is not called on a thread that serves requests or delivers events.
pub fn render(shared: &Shared, format: Format) -> String {
    render_within(shared, format, MAX_PAGE)
}

fn render_within(shared: &Shared, format: Format, limit: usize) -> String {
    let mut writer = Writer::new(format, limit);
    process::write(&mut writer, shared);
    guests::write(&mut writer, &shared.metrics().snapshot());
    let left_out = writer.left_out();
    writer.lift_limit();
    writer.family(
        "weir_metrics_left_out",
        Kind::Gauge,
        "Metrics that did not fit on this page.",
        |family| family.sample(&[], left_out),
    );
    writer.finish()
}

#[cfg(test)]
mod tests {
    use weir_abi::MetricType;
    use weir_host::ForeignFunctions;

    use super::*;

    #[test]
    fn metrics_beyond_the_limit_are_counted() {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        for i in 0..100 {
            cache
                .define(MetricType::Counter, format!("c{i}").as_bytes())
                .unwrap();
        }
        let all = render(&shared, Format::Text);
        assert!(all.contains("\nwasm_c99 0\n") && all.ends_with("\nweir_metrics_left_out 0\n"));
        let some = render_within(&shared, Format::Text, all.len() - 1_000);
        assert!(some.len() < all.len() && some.contains("\nwasm_c0 0\n"));
        assert!(
            !some.contains("\nwasm_c99 0\n") && !some.ends_with(" 0\n"),
            "{some}"
        );
    }
}
