//! Metrics as statistics of the server: `traffic_ctl metric get wasm.NAME`, `traffic_ctl metric match wasm`.
//!
//! A counter or gauge of a guest is `wasm.NAME`, a histogram five of them: `.count`, `.sum` and, worked out from its
//! buckets, `.p50`, `.p90`, `.p99`. Our own counters are `wasm.weir.NAME`. Characters other than letters, digits, `-`, `_`
//! and `.` become `_`; where two names become one that way, the later gets a number.
//!
//! The server has room for so many statistics of plugins (`proxy.config.stat_api.max_stats_allowed`), and on 9.2 for so
//! many records altogether (`--maxRecords`), and gives none back. So a statistic is made once and never again, and there is
//! an end to it before the server comes to its own: guests that define metrics without end must not take the last places
//! of others. The page of metrics has all of them.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_int};
use std::time::Duration;

use weir_ats_sys::{
    TS_RECORDDATATYPE_INT, TS_STAT_NON_PERSISTENT, TS_STAT_SYNC_SUM, TS_SUCCESS, TSStatCreate,
    TSStatFindName, TSStatIntSet,
};
use weir_host::{HISTOGRAM_BOUNDS, HistogramSnapshot, MetricSnapshot, MetricValue, Shared};

/// The period in which the statistics are brought up to date.
const PERIOD: Duration = Duration::from_secs(1);

/// Most statistics that are made.
const MAX_STATISTICS: usize = 500;

/// Most bytes of a statistic's name.
const MAX_NAME: usize = 200;

/// Starts the thread that keeps the statistics up to date. With ten thousand metrics that takes milliseconds each time, so
/// no thread that delivers events does it.
pub(crate) fn keep(shared: Shared) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("weir-stats".to_owned());
    thread.spawn(move || {
        // SAFETY: makes this thread one that the server knows; it sets statistics and asks nothing else of the server.
        unsafe { weir_ats_sys::TSThreadInit() };
        let mut stats = ServerStats::new();
        loop {
            crate::guard::catch(|| stats.sync(&shared));
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread of its own that does nothing else"
            )]
            std::thread::sleep(PERIOD);
        }
    })?;
    Ok(())
}

/// The statistics that have been made, and what the server keeps them in.
#[derive(Debug, Default)]
pub(crate) struct ServerStats<B = Server> {
    board: B,
    /// Statistics of each metric, by its name; `None` where the server had no place for one.
    of_metric: HashMap<String, Vec<Option<c_int>>>,
    /// Statistics of our counters, in their order.
    own: Vec<Option<c_int>>,
    names: HashSet<String>,
    /// The server took no more; it has been said.
    full: bool,
}

/// A place where statistics are shown.
pub(crate) trait Board {
    /// The statistic of this name, new if there is none. `None`: there is no place for it.
    fn open(&mut self, name: &str) -> Option<c_int>;

    /// Sets a statistic that [`Board::open`] has given.
    fn set(&mut self, stat: c_int, value: i64);
}

impl ServerStats {
    /// No statistics so far.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<B: Board> ServerStats<B> {
    /// Brings the server's statistics to the state of the metrics. For one thread, which is known to the server.
    pub fn sync(&mut self, shared: &Shared) {
        if self.own.is_empty() {
            // Ours come first, so that they are there whatever guests define.
            self.own = shared
                .meters()
                .reading()
                .map(|counter| self.open(&format!("weir.{}", counter.name)))
                .collect();
        }
        for (stat, counter) in self.own.iter().zip(shared.meters().reading()) {
            if let Some(stat) = stat {
                self.board.set(*stat, saturated(counter.value));
            }
        }
        for metric in shared.metrics().snapshot() {
            self.show(metric);
        }
    }

    fn show(&mut self, metric: MetricSnapshot) {
        let MetricSnapshot { name, value } = metric;
        if !self.of_metric.contains_key(&name) {
            let stats = parts(&value)
                .iter()
                .map(|(suffix, _)| self.open(&format!("{name}{suffix}")))
                .collect();
            self.of_metric.insert(name.clone(), stats);
        }
        let Some(stats) = self.of_metric.get(&name) else {
            return;
        };
        for (stat, (_, value)) in stats.iter().zip(parts(&value)) {
            if let Some(stat) = stat {
                self.board.set(*stat, value);
            }
        }
    }

    fn open(&mut self, name: &str) -> Option<c_int> {
        if self.full {
            return None;
        }
        let name = self.unique(name);
        let stat = if self.names.len() > MAX_STATISTICS {
            None
        } else {
            self.board.open(&name)
        };
        if stat.is_none() {
            self.full = true;
            tracing::warn!(
                metric = name,
                "too many statistics: this and later metrics are not shown by traffic_ctl \
                 (the limits are {MAX_STATISTICS} and the server's proxy.config.stat_api.max_stats_allowed)"
            );
        }
        stat
    }

    /// A name that no statistic has yet.
    fn unique(&mut self, name: &str) -> String {
        let base = safe(name);
        let mut name = base.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }
}

/// The statistics that a metric becomes: what is added to its name, and their values.
fn parts(value: &MetricValue) -> Vec<(&'static str, i64)> {
    match value {
        MetricValue::Counter(value) => vec![("", saturated(*value))],
        MetricValue::Gauge(value) => vec![("", *value)],
        MetricValue::Histogram(histogram) => vec![
            (".count", saturated(histogram.count)),
            (".sum", saturated(histogram.sum)),
            (".p50", saturated(quantile(histogram, 50))),
            (".p90", saturated(quantile(histogram, 90))),
            (".p99", saturated(quantile(histogram, 99))),
        ],
    }
}

/// The value that so many per cent of the samples do not exceed, as far as the buckets tell: samples are taken to lie
/// evenly within a bucket, and those above the last bound to lie at it. 0 without samples.
fn quantile(histogram: &HistogramSnapshot, percent: u64) -> u64 {
    // The sample with this number (from 1) when all are sorted.
    let rank = (u128::from(histogram.count) * u128::from(percent)).div_ceil(100);
    let (mut below, mut lower) = (0, 0);
    for (upper, cumulative) in HISTOGRAM_BOUNDS.iter().zip(histogram.cumulative) {
        if cumulative > below && u128::from(cumulative) >= rank {
            let (within, width) = (rank - u128::from(below), u128::from(upper - lower));
            let share = width * within / u128::from(cumulative - below);
            return lower + u64::try_from(share).unwrap_or(u64::MAX);
        }
        (below, lower) = (cumulative, *upper);
    }
    if histogram.count == 0 { 0 } else { lower }
}

fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A name that the server's tools take.
fn safe(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = name.chars().map(|c| if legal(c) { c } else { '_' });
    "wasm.".chars().chain(name).take(MAX_NAME).collect()
}

/// The server itself.
#[derive(Debug, Default)]
pub(crate) struct Server;

impl Board for Server {
    fn open(&mut self, name: &str) -> Option<c_int> {
        let name = CString::new(name).ok()?;
        find(&name).or_else(|| {
            // SAFETY: the name ends with NUL and is copied; type, persistence and way of adding up are among those that
            // every version takes.
            let made = unsafe {
                TSStatCreate(
                    name.as_ptr(),
                    TS_RECORDDATATYPE_INT,
                    TS_STAT_NON_PERSISTENT,
                    TS_STAT_SYNC_SUM,
                )
            };
            // 9.2 gives a number even where it has no more room for records, and crashes when that is used.
            if made == -1 { None } else { find(&name) }
        })
    }

    fn set(&mut self, stat: c_int, value: i64) {
        // SAFETY: the number came from the server, and is not -1.
        unsafe { TSStatIntSet(stat, value) };
    }
}

/// The statistic of this name, if there is one. The number is opaque: 10.2 has bits of the type in it.
fn find(name: &CStr) -> Option<c_int> {
    let mut stat: c_int = -1;
    // SAFETY: the name ends with NUL, and the function writes to the place it is given.
    let found = unsafe { TSStatFindName(name.as_ptr(), &mut stat) };
    (found == TS_SUCCESS && stat != -1).then_some(stat)
}

#[cfg(test)]
mod tests {
    use weir_abi::MetricType;
    use weir_host::ForeignFunctions;

    use super::*;

    /// A server with so many places.
    #[derive(Default)]
    struct Places {
        most: usize,
        names: Vec<String>,
        values: HashMap<c_int, i64>,
        asked: usize,
    }

    impl Board for Places {
        fn open(&mut self, name: &str) -> Option<c_int> {
            self.asked += 1;
            if self.names.len() >= self.most {
                return None;
            }
            self.names.push(name.into());
            c_int::try_from(self.names.len() - 1).ok()
        }

        fn set(&mut self, stat: c_int, value: i64) {
            self.values.insert(stat, value);
        }
    }

    fn stats(most: usize) -> ServerStats<Places> {
        ServerStats {
            board: Places {
                most,
                ..Places::default()
            },
            of_metric: HashMap::new(),
            own: Vec::new(),
            names: HashSet::new(),
            full: false,
        }
    }

    fn value(stats: &ServerStats<Places>, name: &str) -> Option<i64> {
        let place = stats.board.names.iter().position(|known| known == name)?;
        stats.board.values.get(&c_int::try_from(place).ok()?).copied()
    }

    #[test]
    fn metrics_become_statistics_once() {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        let counter = cache.define(MetricType::Counter, b"a b").unwrap();
        let gauge = cache.define(MetricType::Gauge, b"a_b").unwrap();
        let histogram = cache.define(MetricType::Histogram, b"h").unwrap();
        cache.increment(counter, 2).unwrap();
        cache.record(gauge, (-3_i64).cast_unsigned()).unwrap();
        for sample in 1..=100 {
            cache.record(histogram, sample).unwrap();
        }
        let mut stats = stats(1000);
        stats.sync(&shared);
        assert_eq!(value(&stats, "wasm.a_b"), Some(2));
        assert_eq!(value(&stats, "wasm.a_b_2"), Some(-3));
        assert_eq!(value(&stats, "wasm.h.count"), Some(100));
        assert_eq!(value(&stats, "wasm.h.sum"), Some(5050));
        assert_eq!(value(&stats, "wasm.h.p50"), Some(50));
        assert_eq!(value(&stats, "wasm.h.p90"), Some(90));
        assert_eq!(value(&stats, "wasm.h.p99"), Some(99));
        assert!(value(&stats, "wasm.weir.vm_started").is_some());

        let asked = stats.board.asked;
        cache.increment(counter, 5).unwrap();
        stats.sync(&shared);
        assert_eq!(value(&stats, "wasm.a_b"), Some(7));
        assert_eq!(stats.board.asked, asked);
    }

    #[test]
    fn a_server_without_places_is_asked_once() {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        for name in [b"a", b"b", b"c"] {
            cache.define(MetricType::Counter, name).unwrap();
        }
        let own = shared.meters().reading().count();
        let mut stats = stats(own + 1);
        for _ in 0..3 {
            stats.sync(&shared);
        }
        assert_eq!(value(&stats, "wasm.a"), Some(0));
        assert_eq!(value(&stats, "wasm.b"), None);
        assert_eq!(stats.board.asked, own + 2);
    }

    #[test]
    fn guests_cannot_take_every_place() {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        for i in 0..600 {
            cache
                .define(MetricType::Counter, format!("c{i}").as_bytes())
                .unwrap();
        }
        let mut stats = stats(10_000);
        stats.sync(&shared);
        stats.sync(&shared);
        assert_eq!(stats.board.names.len(), MAX_STATISTICS);
    }

    #[test]
    fn quantiles_of_few_samples() {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        let id = cache.define(MetricType::Histogram, b"h").unwrap();
        let quantiles = || match &shared.metrics().snapshot()[0].value {
            MetricValue::Histogram(histogram) => [50, 99].map(|percent| quantile(histogram, percent)),
            _ => panic!("a histogram"),
        };
        assert_eq!(quantiles(), [0, 0]);
        cache.record(id, 150).unwrap();
        assert_eq!(quantiles(), [200, 200]);
        cache.record(id, u64::MAX).unwrap();
        assert_eq!(quantiles(), [200, 5_000_000_000_000]);
    }

    #[test]
    fn names_are_safe() {
        assert_eq!(safe("up time/µ%s\n"), "wasm.up_time___s_");
        assert_eq!(safe(&"x".repeat(1000)).len(), MAX_NAME);
    }
}
