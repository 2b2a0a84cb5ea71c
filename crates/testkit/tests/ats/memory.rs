//! What filters have the plugin hold stays within `limits.host_memory`, and no VM dies of it.

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE, blackhole};

use crate::{module, request};

const MIB: u64 = 1 << 20;

/// Streams that are held, or answers that nobody reads, at a time.
const STREAMS: usize = 20;

/// A server with one net thread, and an origin and a silent upstream for the filter's calls.
fn start() -> (Ats, Origin, std::net::TcpListener) {
    let (origin, silent) = (Origin::start().unwrap(), blackhole().unwrap());
    let mut block = filter("one", &module("hoarder"), "wasmtime");
    set(&mut block, "limits.memory", json!("32MiB"));
    set(&mut block, "limits.host_memory", json!("32MiB"));
    set(&mut block, "limits.http_calls", json!(4));
    set(&mut block, "limits.callback_deadline", json!("20s"));
    set(
        &mut block,
        "upstreams.silent",
        json!(format!("http://{}", silent.local_addr().unwrap())),
    );
    let config = AtsConfig::new(origin.address())
        .filter(block)
        .record("proxy.config.exec_thread.autoconfig.enabled", 0)
        .record("proxy.config.exec_thread.limit", 1);
    (Ats::start(&config).unwrap(), origin, silent)
}

/// The resident memory never grew by more than both limits and 32 MiB, and no VM has died.
fn stayed_within(ats: &Ats, before: u64, what: &str) {
    let (_, most) = ats.server().resident().unwrap();
    let (grown, may) = (most.saturating_sub(before) / MIB, 32 + 32 + 32);
    let log = ats.logs().text();
    assert!(grown <= may, "{what}: {grown} MiB of {may} MiB: {log}");
    assert!(!log.contains("VM has died"), "{what}: {log}");
}

#[test]
fn held_streams_stay_within_the_account() {
    for what in ["headers", "replies"] {
        let (ats, ..) = start();
        assert_eq!(request(ats.address(), &Request::get("/count")).status, 200);
        let (before, _) = ats.server().resident().unwrap();
        let kept = format!("kept {what}");
        let clients: Vec<_> = (0..STREAMS)
            .map(|_| {
                let mut client = Http1::connect(ats.address()).unwrap();
                let head = format!("GET /{what} HTTP/1.1\r\nhost: a\r\n\r\n");
                client.send(&head).unwrap();
                client
            })
            .collect();
        let all = ats.logs().wait(2 * PATIENCE, |lines| {
            let seen = lines.iter().filter(|line| line.message().contains(&kept)).count();
            (seen >= STREAMS).then_some(())
        });
        assert!(all.is_some(), "{what}: {}", ats.logs().text());
        stayed_within(&ats, before, what);
        drop(clients);
        assert_eq!(request(ats.address(), &Request::get("/count")).status, 200);
    }
}

#[test]
fn calls_of_streams_that_have_ended_stay_within_the_account() {
    let (ats, ..) = start();
    let ask = |path: &str| request(ats.address(), &Request::get(path));
    assert_eq!(ask("/count").status, 200);
    let (before, _) = ats.server().resident().unwrap();
    let begun = (0..100).filter(|_| ask("/calls").body == b"true").count();
    assert!(
        begun > 10,
        "calls end with their streams, so that others can begin: {begun}"
    );
    stayed_within(&ats, before, "calls");
}
