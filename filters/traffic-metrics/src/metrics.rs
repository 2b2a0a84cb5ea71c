//! The metrics. Their values belong to the whole proxy, their ids to this VM.

use std::collections::HashMap;
use std::time::Duration;

use log::warn;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{MetricType, Status};

/// Methods with counters of their own. A client may make up others, which must not make up metrics.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Ids of the metrics, and what this VM has seen itself.
#[derive(Default)]
pub struct Metrics {
    total: u32,
    in_flight: u32,
    size: u32,
    duration: u32,
    /// Counters by method and status class, made when the first such request ends.
    requests: HashMap<(&'static str, &'static str), u32>,
    finished: u64,
}

impl Metrics {
    /// Makes the metrics that exist from the start.
    pub fn define() -> Self {
        Self {
            total: define(MetricType::Counter, "traffic.requests"),
            in_flight: define(MetricType::Gauge, "traffic.requests_in_flight"),
            size: define(MetricType::Histogram, "traffic.response_size_bytes"),
            duration: define(MetricType::Histogram, "traffic.request_duration_ms"),
            ..Self::default()
        }
    }

    /// A request has begun.
    pub fn begin(&self) {
        report(hostcalls::increment_metric(self.in_flight, 1));
    }

    /// A request has ended, with or without a response.
    pub fn end(
        &mut self,
        method: &[u8],
        status: Option<&[u8]>,
        size: Option<u64>,
        duration: Option<Duration>,
    ) {
        self.finished += 1;
        let (method, class) = (method_name(method), status_class(status));
        let counter = *self
            .requests
            .entry((method, class))
            .or_insert_with(|| define(MetricType::Counter, &format!("traffic.requests.{method}.{class}")));
        report(hostcalls::increment_metric(counter, 1));
        report(hostcalls::increment_metric(self.total, 1));
        report(hostcalls::increment_metric(self.in_flight, -1));
        if let Some(size) = size {
            report(hostcalls::record_metric(self.size, size));
        }
        if let Some(duration) = duration {
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            report(hostcalls::record_metric(self.duration, milliseconds));
        }
    }

    /// Requests that ended in this VM.
    pub fn finished_here(&self) -> u64 {
        self.finished
    }

    /// What all VMs have counted together.
    pub fn summary(&self) -> String {
        let value = |id| hostcalls::get_metric(id).unwrap_or_default();
        let mut counters: Vec<_> = self.requests.iter().collect();
        counters.sort_unstable();
        let mut text = format!(
            "{} requests, {} in flight",
            value(self.total),
            value(self.in_flight)
        );
        for ((method, class), id) in counters {
            text.push_str(&format!(", {method} {class}: {}", value(*id)));
        }
        text
    }
}

fn define(kind: MetricType, name: &str) -> u32 {
    hostcalls::define_metric(kind, name).unwrap_or_else(|status| {
        warn!("metric {name} cannot be made: {status:?}");
        0
    })
}

fn report(result: Result<(), Status>) {
    if let Err(status) = result {
        warn!("a metric was not changed: {status:?}");
    }
}

fn method_name(method: &[u8]) -> &'static str {
    METHODS
        .into_iter()
        .find(|name| name.as_bytes() == method)
        .unwrap_or("other")
}

/// `none` where the client went away before there was a response.
fn status_class(status: Option<&[u8]>) -> &'static str {
    match status.and_then(|status| status.first()) {
        Some(b'1') => "1xx",
        Some(b'2') => "2xx",
        Some(b'3') => "3xx",
        Some(b'4') => "4xx",
        Some(b'5') => "5xx",
        _ => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::{method_name, status_class};

    #[test]
    fn names_are_from_a_closed_list() {
        assert_eq!(method_name(b"PATCH"), "PATCH");
        assert_eq!(method_name(b"get"), "other");
        assert_eq!(method_name(b"BREW"), "other");
        assert_eq!(status_class(Some(b"204")), "2xx");
        assert_eq!(status_class(Some(b"999")), "none");
        assert_eq!(status_class(None), "none");
    }
}
