//! A guest has the host keep no more than it may, and survives to hear of it; other tenants notice nothing.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, Origin, PATIENCE, Weir, blackhole, quick_runtimes, random_rounds};

const MIB: u64 = 1 << 20;

/// `limits.host_memory` of the filters here.
const HOST_MEMORY: u64 = 32 * MIB;

/// `limits.memory` of the filters here.
const MEMORY: u64 = 32 * MIB;

/// Streams that are held, or answers that nobody reads, at a time.
const STREAMS: usize = 40;

/// A proxy with one worker and these tenants, each with a route of its own.
fn start(runtime: &str, tenants: &[&str], keys: &[(&str, Value)]) -> (Weir, Origin, std::net::TcpListener) {
    let module = Guests::build().unwrap().filter("hoarder").unwrap();
    let (origin, silent) = (Origin::start().unwrap(), blackhole().unwrap());
    let mut config = Config::new(&origin.url()).set("workers", json!(1)).set(
        "upstreams.silent",
        json!(format!("http://{}", silent.local_addr().unwrap())),
    );
    for name in tenants {
        let mut block = filter(name, &module, runtime);
        set(&mut block, "limits.memory", json!(format!("{}MiB", MEMORY / MIB)));
        set(
            &mut block,
            "limits.host_memory",
            json!(format!("{}MiB", HOST_MEMORY / MIB)),
        );
        set(&mut block, "limits.body", json!("64MiB"));
        set(&mut block, "limits.callback_deadline", json!("20s"));
        for (key, value) in keys {
            set(&mut block, key, value.clone());
        }
        config = config.filter(name, block).route(&format!("/{name}/"), &[name]);
    }
    (Weir::start(config.value()).unwrap(), origin, silent)
}

/// The answer to a request of a tenant.
fn ask(weir: &Weir, tenant: &str, path: &str) -> String {
    let request = Request::get(&format!("/{tenant}{path}"));
    let mut client = Http1::connect(weir.address()).unwrap();
    let response = client.request(&request).unwrap().response().unwrap();
    assert_eq!(response.status, 200, "{path}: {}", weir.logs().text());
    String::from_utf8_lossy(&response.body).into_owned()
}

/// The resident memory never grew by more than the limits and 32 MiB, and no VM has died.
fn stayed_within(weir: &Weir, before: u64, what: &str) {
    let (_, most) = weir.resident().unwrap();
    let grown = most.saturating_sub(before) / MIB;
    let may = (HOST_MEMORY + MEMORY) / MIB + 32;
    assert!(
        grown <= may,
        "{what}: {grown} MiB of {may} MiB\n{}",
        weir.logs().text()
    );
    survived(weir, what);
}

fn survived(weir: &Weir, what: &str) {
    let log = weir.logs().text();
    assert!(!log.contains("VM has died"), "{what}: {log}");
}

/// Sends the same request on many connections whose answers nobody reads, and waits until the guest has seen all.
fn hold(weir: &Weir, path: &str, body: &str) -> Vec<Http1> {
    let what = format!("kept {}", &path[1..]);
    let seen =
        |lines: &[weir_testkit::LogLine]| lines.iter().filter(|line| line.message().contains(&what)).count();
    let before = weir.logs().wait(PATIENCE, |lines| Some(seen(lines))).unwrap();
    let clients: Vec<_> = (0..STREAMS)
        .map(|_| {
            let mut client = Http1::connect(weir.address()).unwrap();
            let length = body.len();
            let head = format!(
                "POST /one{path} HTTP/1.1\r\nhost: weir.test\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            client.send(&head).unwrap();
            client
        })
        .collect();
    let all = weir.logs().wait(2 * PATIENCE, |lines| {
        (seen(lines) >= before + STREAMS).then_some(())
    });
    assert!(all.is_some(), "{what}: {}", weir.logs().text());
    clients
}

#[test]
fn held_streams_stay_within_the_account() {
    for runtime in quick_runtimes() {
        for (path, body) in [
            ("/headers", "x"),
            ("/bodies", "x"),
            ("/properties", "x"),
            ("/replies", "x"),
        ] {
            let (weir, ..) = start(runtime, &["one"], &[]);
            assert_eq!(ask(&weir, "one", "/count"), "1");
            let (before, _) = weir.resident().unwrap();
            let clients = hold(&weir, path, body);
            stayed_within(&weir, before, &format!("{runtime} {path}"));
            drop(clients);
            assert_eq!(
                ask(&weir, "one", "/count"),
                (STREAMS + 2).to_string(),
                "{runtime} {path}: the same VM"
            );
        }
    }
}

#[test]
fn calls_of_streams_that_have_ended_stay_within_the_account() {
    for runtime in quick_runtimes() {
        let (weir, ..) = start(runtime, &["one"], &[("limits.http_calls", json!(4))]);
        ask(&weir, "one", "/count");
        let (before, _) = weir.resident().unwrap();
        let begun = (0..200).filter(|_| ask(&weir, "one", "/calls") == "true").count();
        assert!(
            begun > 10,
            "{runtime}: calls end with their streams, so that others can begin: {begun}"
        );
        stayed_within(&weir, before, &format!("{runtime} calls"));
    }
}

#[test]
fn shared_state_and_ticks_stay_within_the_account() {
    for runtime in quick_runtimes() {
        for (path, expected) in [("/queues", "false"), ("/ticks", "set")] {
            let (weir, ..) = start(runtime, &["one"], &[]);
            ask(&weir, "one", "/count");
            let (before, _) = weir.resident().unwrap();
            for _ in 0..3 {
                ask(&weir, "one", path);
            }
            let (log, answer) = (weir.logs().text(), ask(&weir, "one", path));
            assert_eq!(answer, expected, "{runtime} {path}: {log}");
            stayed_within(&weir, before, &format!("{runtime} {path}"));
        }
    }
}

#[test]
fn random_hostcalls_stay_within_the_account() {
    for runtime in quick_runtimes() {
        let (weir, ..) = start(runtime, &["one"], &[("limits.http_calls", json!(16))]);
        ask(&weir, "one", "/count");
        let (before, _) = weir.resident().unwrap();
        // Queues and shared data have accounts of their own, which each round finds as the one before has left them.
        for round in 0..random_rounds(2) {
            let clients = hold(&weir, "/random", "x");
            let (_, most) = weir.resident().unwrap();
            let grown = most.saturating_sub(before) / MIB;
            let may = (2 * HOST_MEMORY + MEMORY) / MIB + 64 + 32;
            assert!(grown <= may, "{runtime}, round {round}: {grown} MiB of {may} MiB");
            survived(&weir, "random");
            drop(clients);
        }
    }
}

#[test]
fn a_tenant_at_its_limits_leaves_others_theirs() {
    let (weir, ..) = start("wasmtime", &["one", "two"], &[]);
    assert_eq!(
        ask(&weir, "one", "/metrics"),
        "0",
        "the last metric counts nothing"
    );
    assert_eq!(ask(&weir, "two", "/metric"), "2");
    assert_eq!(ask(&weir, "one", "/queues"), "true");
    assert_eq!(ask(&weir, "two", "/queues"), "true");
    let kept: usize = ask(&weir, "one", "/data").parse().unwrap();
    assert!((1..64).contains(&kept), "{kept} MiB of shared data");
    assert_eq!(ask(&weir, "two", "/data"), kept.to_string());
    assert_eq!(ask(&weir, "one", "/pairs"), "[true, true, true, true, true]");
    let reply = Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get("/one/pairs-reply"));
    assert_eq!(reply.unwrap().response().unwrap().status, 500);
    survived(&weir, "every limit");
    assert_eq!(ask(&weir, "one", "/count"), "6");
    for hostcall in [
        "proxy_define_metric",
        "proxy_register_shared_queue",
        "proxy_set_header_map_pairs: 1100 entries",
        "proxy_send_local_response: 1100 entries",
        "proxy_set_property: the path is empty",
    ] {
        let warned = weir.logs().wait_for(hostcall);
        assert!(
            warned.is_some(),
            "{hostcall} is warned of: {}",
            weir.logs().text()
        );
    }
}

#[test]
fn the_process_has_a_ceiling_over_all_tenants() {
    let module = Guests::build().unwrap().filter("hoarder").unwrap();
    let origin = Origin::start().unwrap();
    let mut block = filter("one", &module, "wasmtime");
    set(&mut block, "limits.callback_deadline", json!("20s"));
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .set("host_memory", json!("8MiB"))
        .filter("one", block)
        .route("/", &["one"]);
    let weir = Weir::start(config.value()).unwrap();
    let kept: usize = ask(&weir, "one", "/data").parse().unwrap();
    assert!((5..8).contains(&kept), "{kept} MiB");
    let reply = Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get("/one/replies"));
    assert_eq!(
        reply.unwrap().response().unwrap().status,
        500,
        "the reply finds no room"
    );
    survived(&weir, "the ceiling");
}

/// Guests of other SDKs, which `WEIR_SDK_GUESTS` names a folder of; how they are built is in `filters/guests/README.md`.
#[test]
fn guests_of_other_sdks_survive_every_limit() {
    let Some(folder) = std::env::var_os("WEIR_SDK_GUESTS") else {
        eprintln!("not tested: WEIR_SDK_GUESTS names no folder");
        return;
    };
    let modules: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
        .collect();
    assert!(!modules.is_empty());
    for module in modules {
        let (origin, silent) = (Origin::start().unwrap(), blackhole().unwrap());
        let mut block = filter("limits", &module, "wasmtime");
        set(&mut block, "root_id", json!("limits"));
        // The AssemblyScript SDK reads the root's id in place of an empty configuration.
        set(&mut block, "configuration", json!("x"));
        set(&mut block, "limits.http_calls", json!(4));
        set(&mut block, "limits.callback_deadline", json!("20s"));
        let config = Config::new(&origin.url())
            .set("workers", json!(1))
            .set(
                "upstreams.silent",
                json!(format!("http://{}", silent.local_addr().unwrap())),
            )
            .filter("limits", block)
            .route("/limits/", &["limits"]);
        let weir = Weir::start(config.value()).unwrap();
        for count in ["1", "2", "3"] {
            assert_eq!(ask(&weir, "limits", "/"), count, "{}", module.display());
        }
        survived(&weir, &module.display().to_string());
        weir.logs().wait_for("logs more than limits.log").unwrap();
    }
}
