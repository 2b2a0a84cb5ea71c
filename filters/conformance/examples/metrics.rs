//! Counters, gauges and histograms, by name for the whole process.
//!
//! covers: proxy_define_metric proxy_increment_metric proxy_record_metric proxy_get_metric
//!
//! request: GET /
//! status: 200
//! body: counter: Ok
//! body: defined again: the same true
//! body: at first: Ok 0
//! body: +3: Ok
//! body: +0: BadArgument
//! body: -1: BadArgument
//! body: record 4 adds: Ok
//! body: then: Ok 7
//! body: gauge: Ok
//! body: +3: Ok
//! body: -5: Ok
//! body: then: Ok -2
//! body: record 9 sets: Ok
//! body: then: Ok 9
//! body: histogram: Ok
//! body: record: Ok
//! body: increment: BadArgument
//! body: get: BadArgument
//! body: unknown: NotFound, NotFound, NotFound
//! body: kind 3: BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let counter = define_metric(COUNTER, "conformance.counter");
        let id = counter.clone().into_number() as u32;
        say!("counter: {}", status_name(counter.status));
        say!("defined again: the same {}", define_metric(COUNTER, "conformance.counter") == counter);
        say!("at first: {}", metric(id));
        say!("+3: {}", increment_metric(id, 3));
        say!("+0: {}", increment_metric(id, 0));
        say!("-1: {}", increment_metric(id, -1));
        say!("record 4 adds: {}", record_metric(id, 4));
        say!("then: {}", metric(id));

        let gauge = define_metric(GAUGE, "conformance.gauge");
        let id = gauge.clone().into_number() as u32;
        say!("gauge: {}", status_name(gauge.status));
        say!("+3: {}", increment_metric(id, 3));
        say!("-5: {}", increment_metric(id, -5));
        let value = metric(id);
        say!("then: {} {}", status_name(value.status), value.into_number() as i64);
        say!("record 9 sets: {}", record_metric(id, 9));
        say!("then: {}", metric(id));

        let histogram = define_metric(HISTOGRAM, "conformance.histogram");
        let id = histogram.clone().into_number() as u32;
        say!("histogram: {}", status_name(histogram.status));
        say!("record: {}", record_metric(id, 12));
        say!("increment: {}", increment_metric(id, 1));
        say!("get: {}", metric(id));

        let none = 0x7fff_ffff;
        say!("unknown: {}, {}, {}", metric(none), increment_metric(none, 1), record_metric(none, 1));
        say!("kind 3: {}", define_metric(3, "conformance.none"));
        reply()
    }
}
