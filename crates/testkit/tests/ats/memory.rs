//! The memory that filters have the plugin hold stays within `limits.host_memory`, and no VM dies of it.

use std::time::{Duration, Instant};

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE, blackhole, quick_runtimes, random_rounds};

use crate::{module, request};

const MIB: u64 = 1 << 20;

/// Streams that are held, or answers that nobody reads, at a time.
const STREAMS: usize = 20;

/// A server with one net thread, and an origin and a silent upstream for the filter's calls.
fn start(runtime: &str) -> (Ats, Origin, std::net::TcpListener) {
    let (origin, silent) = (Origin::start().unwrap(), blackhole().unwrap());
    let mut block = filter("one", &module("hoarder"), runtime);
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

/// Sends the same request on many connections whose answers nobody reads, and waits until the guest has seen all.
fn hold(ats: &Ats, what: &str) -> Vec<Http1> {
    let kept = format!("kept {what}");
    let seen = || {
        let lines = ats.logs().lines();
        lines.iter().filter(|line| line.message().contains(&kept)).count()
    };
    let before = seen();
    let clients = (0..STREAMS)
        .map(|_| {
            let mut client = Http1::connect(ats.address()).unwrap();
            let (method, rest) = match what {
                // The guest wants a body to change.
                "random" => ("POST", "content-length: 1\r\n\r\nx"),
                _ => ("GET", "\r\n"),
            };
            let head = format!("{method} /{what} HTTP/1.1\r\nhost: a\r\n{rest}");
            client.send(&head).unwrap();
            client
        })
        .collect();
    let all = ats.logs().wait(2 * PATIENCE, |lines| {
        let seen = lines.iter().filter(|line| line.message().contains(&kept)).count();
        (seen >= before + STREAMS).then_some(())
    });
    assert!(all.is_some(), "{what}: {}", ats.logs().text());
    clients
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
    for (runtime, what) in quick_runtimes()
        .into_iter()
        .flat_map(|runtime| [(runtime, "headers"), (runtime, "replies")])
    {
        let (ats, ..) = start(runtime);
        assert_eq!(request(ats.address(), &Request::get("/count")).status, 200);
        let (before, _) = ats.server().resident().unwrap();
        let clients = hold(&ats, what);
        stayed_within(&ats, before, &format!("{runtime} {what}"));
        drop(clients);
        // The account is credited once the server has noticed that the clients are gone.
        let until = Instant::now() + PATIENCE;
        while request(ats.address(), &Request::get("/count")).status != 200 {
            assert!(Instant::now() < until, "{runtime} {what}: {}", ats.logs().text());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

#[test]
fn calls_of_streams_that_have_ended_stay_within_the_account() {
    let (ats, ..) = start("wasmtime");
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

#[test]
fn random_hostcalls_stay_within_the_account() {
    for runtime in quick_runtimes() {
        let (ats, ..) = start(runtime);
        assert_eq!(request(ats.address(), &Request::get("/count")).status, 200);
        let (before, _) = ats.server().resident().unwrap();
        for round in 0..random_rounds(2) {
            let clients = hold(&ats, "random");
            let (_, most) = ats.server().resident().unwrap();
            // The VM's account, that of the queues, shared data, and the guest's own memory.
            let (grown, may) = (most.saturating_sub(before) / MIB, 32 + 32 + 64 + 32 + 32);
            let log = || ats.logs().text();
            assert!(
                grown <= may,
                "{runtime}, round {round}: {grown} MiB of {may} MiB: {}",
                log()
            );
            assert!(!log().contains("VM has died"), "{runtime}: {}", log());
            drop(clients);
        }
    }
}
