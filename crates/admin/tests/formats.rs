//! Pages are well-formed in both formats, say the same in both, and have the metrics that docs/metrics.md lists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on ends"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use support::{Family, read_open_metrics, read_text};
use weir_abi::{Callback, MetricType, Status};
use weir_admin::{Format, render};
use weir_host::{Account, ForeignFunctions, Shared};

/// A process in which everything has happened once.
fn eventful() -> Shared {
    let shared = Shared::new(ForeignFunctions::default());
    let meters = shared.meters();
    let account = Account::new(1000, shared.stores().ceiling());
    std::mem::forget(account.charge(600));
    shared.stores().of("tenant").set(b"key", b"value", 0).unwrap();
    let vm = meters.vm(&account);
    vm.started(["auth", "we\"ird\\\n"]);
    vm.set_memory(65536);
    vm.died(Some("auth"), "deadline");
    meters.vm(&account).started(["gone"]);
    let plugin = meters.plugin("we\"ird\\\n");
    plugin.callback_took(Callback::RequestHeaders, 1_500);
    plugin.callback_took(Callback::Tick, 3_000_000_000);
    plugin.hostcall_failed("proxy_log", Status::InvalidMemoryAccess);
    meters.compiled("wasmtime", Duration::from_millis(12));
    let upstream = meters.upstream("origin");
    upstream.requests.add(3);
    upstream.connections.add(2);
    upstream.closed.increment();
    std::mem::forget((vm, plugin));
    // Nothing fits into a rate of zero.
    assert!(!shared.log_allowance("auth").pay(1, 0));
    shared
}

/// All samples of a page as text, without the format's own spelling of bounds.
fn samples(families: &std::collections::BTreeMap<String, Family>) -> BTreeSet<String> {
    let lines = families.values().flat_map(|family| &family.samples);
    lines
        .map(|(name, labels, value)| {
            let labels: Vec<_> = labels
                .iter()
                .map(|(label, value)| match (label.as_str(), value.parse::<f64>()) {
                    ("le", Ok(bound)) => format!("le={bound}"),
                    _ => format!("{label}={value}"),
                })
                .collect();
            format!("{name} {labels:?} {value}")
        })
        .collect()
}

#[test]
fn both_formats_say_the_same() {
    let shared = eventful();
    let mut cache = shared.metrics().cache();
    for (kind, name) in [
        (MetricType::Counter, "requests"),
        (MetricType::Counter, "requests_total"),
        (MetricType::Gauge, "7 \"\\\nµ"),
        (MetricType::Histogram, "latency"),
        (MetricType::Gauge, "latency_created"),
    ] {
        let id = cache.define(kind, name.as_bytes()).unwrap();
        cache.record(id, 7).unwrap();
    }
    let text = read_text(&render(&shared, Format::Text));
    let open = read_open_metrics(&render(&shared, Format::OpenMetrics));
    assert_eq!(samples(&text), samples(&open));
    assert_eq!(text["wasm_7_____"].help, "7 \"\\\nµ");
    assert_eq!(text["wasm_requests"].kind, "counter");
    assert_eq!(open["wasm_requests"].kind, "unknown");
    assert_eq!(open["weir_streams"].kind, "counter");
    assert_eq!(text["weir_streams_total"].kind, "counter");
    let deaths = &text["weir_vm_deaths_total"].samples;
    assert_eq!((deaths[0].1["plugin"].as_str(), deaths[0].2), ("auth", 1.0));
    let callbacks = &text["weir_callback_seconds"].samples;
    assert!(callbacks.iter().any(|(name, labels, value)| {
        name.ends_with("_bucket")
            && labels["callback"] == "proxy_on_request_headers"
            && labels["plugin"] == "we\"ird\\\n"
            && labels["le"] == "5e-06"
            && *value == 1.0
    }));
}

#[test]
fn the_documentation_lists_what_is_rendered() {
    let text = read_text(&render(&eventful(), Format::Text));
    let rendered: BTreeSet<(String, String)> = text
        .iter()
        .map(|(name, family)| {
            assert!(!family.samples.is_empty(), "{name} is never written");
            (name.clone(), family.kind.clone())
        })
        .collect();
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    let documented: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `weir_")?.split('|').map(str::trim);
            let name = cells.next()?.trim_end_matches('`');
            Some((format!("weir_{name}"), cells.next()?.to_owned()))
        })
        .collect();
    assert_eq!(documented, rendered);
}

proptest! {
    #[test]
    fn pages_are_well_formed_whatever_guests_define(
        metrics in prop::collection::vec((0_u8..3, "(.{0,6}|[a_.]{1,2})(_total|_sum|_created|_bucket|_2)?", any::<u64>()), 0..24),
    ) {
        let shared = Shared::new(ForeignFunctions::default());
        let mut cache = shared.metrics().cache();
        let mut defined = 0;
        for (kind, name, value) in metrics {
            let kind = [MetricType::Counter, MetricType::Gauge, MetricType::Histogram][usize::from(kind)];
            // A name that has another type is refused.
            if let Ok(id) = cache.define(kind, name.as_bytes()) {
                cache.record(id, value).unwrap();
                defined = defined.max(id as usize);
            }
        }
        let text = read_text(&render(&shared, Format::Text));
        let open = read_open_metrics(&render(&shared, Format::OpenMetrics));
        prop_assert_eq!(text.keys().filter(|name| name.starts_with("wasm_")).count(), defined);
        prop_assert_eq!(samples(&text), samples(&open));
    }
}
