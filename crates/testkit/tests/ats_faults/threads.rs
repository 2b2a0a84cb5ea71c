//! Several net threads, and transactions that change between them.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Http2, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{AtsConfig, Mode, Origin};

use super::*;

/// Clients at a time; each sends its requests one after the other.
const CLIENTS: u64 = 8;

/// The conduct of filters towards the streams that change threads: they hold them once, several times, answer, or die.
const RULES: [&str; 9] = [
    "",
    "hold@request_headers",
    "hold_call@request_headers",
    "hold@request_body",
    "hold_call@response_headers",
    "hold@response_headers hold_call@response_body",
    "hold@request_headers hold_call@request_body hold@response_headers hold@response_body",
    "hold@request_headers reply@response_headers",
    "hold_call@request_headers panic@response_headers",
];

fn expected(rules: &str, outcome: &Outcome) -> bool {
    match rules {
        rules if rules.contains("reply") => is(outcome, 418, "misbehave"),
        rules if rules.contains("panic") => status(outcome) == 503,
        _ => is(outcome, 200, "onetwo"),
    }
}

fn misbehaving_with_calls(name: &str, prefix: &str, calls: &Origin) -> Value {
    let mut block = misbehaving(name, prefix, false);
    set(&mut block, "configuration", json!("upstream=calls"));
    set(&mut block, "upstreams.calls", json!(calls.url()));
    block
}

fn moved(mode: Mode) {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let mut filters = vec![misbehaving_with_calls("calm", "/calm/", &calls)];
    // Filters that die have VMs of their own, and so have a second one of them when the first is dead.
    filters.extend((0..CLIENTS).map(|client| {
        misbehaving_with_calls(&format!("dying-{client}"), &format!("/dying-{client}/"), &calls)
    }));
    let mut config = with_filters(AtsConfig::new(origin.address()), mode, filters);
    config.threads = 4;
    config
        .environment
        .push(("WEIR_ATS_TEST_MOVE".to_owned(), "1".to_owned()));
    let server = Server::start(config);
    let address = server.ats().address();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let protocol = if client % 2 == 0 {
                    Protocol::Http1
                } else {
                    Protocol::Http2
                };
                for rules in RULES {
                    let dies = rules.contains("panic");
                    let path = if dies {
                        format!("/dying-{client}/")
                    } else {
                        "/calm/".to_owned()
                    };
                    for _ in 0..if dies { 1 } else { 10 } {
                        let outcome = send(address, protocol, &told(protocol, &path, rules));
                        let log = || server.ats().logs().text();
                        assert!(
                            expected(rules, &outcome),
                            "{protocol:?} {rules}: {outcome:?}\n{}",
                            log()
                        );
                    }
                }
            });
        }
    });
    // The deaths are one each, of streams that have moved.
    wait_until(
        || (server.stat("wasm.weir.vm_died") == CLIENTS as i64).then_some(()),
        || format!("{} have died", server.stat("wasm.weir.vm_died")),
    );
    server.lives();
}

#[test]
fn streams_of_plugin_config_can_change_threads() {
    moved(Mode::Global);
}

#[test]
fn streams_of_a_remap_rule_can_change_threads() {
    moved(Mode::Remap);
}

/// Streams that have moved end with the VM of the thread that they began on, and they wait for their time there.
#[test]
fn deaths_and_deadlines_find_streams_that_changed_threads() {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let mut filters: Vec<_> = (0..CLIENTS)
        .map(|client| misbehaving_with_calls(&format!("n{client}"), &format!("/n{client}/"), &calls))
        .collect();
    let mut slow = misbehaving_with_calls("slow", "/slow/", &calls);
    set(&mut slow, "limits.stream_deadline", json!("200ms"));
    filters.push(slow);
    let mut config = with_filters(AtsConfig::new(origin.address()), Mode::Global, filters);
    config.threads = 4;
    config
        .environment
        .push(("WEIR_ATS_TEST_MOVE".to_owned(), "1".to_owned()));
    let server = Server::start(config);
    let address = server.ats().address();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let paused = [
                    "pause@request_headers",
                    "hold@request_headers pause@request_body",
                    "hold@request_headers pause@response_headers",
                    "hold@request_headers pause@response_body",
                ][client as usize % 4];
                let path = format!("/n{client}/");
                let mut connection = Http2::connect(address).unwrap();
                let requests = [
                    Request::post(&path, "onetwo").header("x-misbehave", paused),
                    Request::post(&path, "onetwo")
                        .header("x-misbehave", "hold@request_headers panic@response_headers"),
                ];
                let outcomes = connection.requests(&requests).unwrap();
                for outcome in outcomes {
                    assert_eq!(status(&outcome), 503, "{paused}");
                }
                let late = Request::post("/slow/", "onetwo").header("x-misbehave", paused);
                let outcome = Http1::connect(address).unwrap().request(&late).unwrap();
                assert_eq!(status(&outcome), 503, "{paused}");
            });
        }
    });
    server.lives();
}

/// Another plugin of the server, which is at work for a while on the responses of some requests.
const BUSY: &str = "
function do_global_send_response()
  if string.find(ts.client_request.get_uri(), '/busy', 1, true) then
    local stop = os.clock() + 0.3
    while os.clock() < stop do end
  end
end
";

/// A tick may mean any stream. One that the server has moved is looked at only while no other thread is at work on it.
#[test]
fn ticks_leave_streams_of_other_threads_alone() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address()).filter(misbehaving("look", "/", false));
    config.threads = 2;
    config.files.push(("busy.lua".to_owned(), BUSY.to_owned()));
    config.plugin.push("tslua.so busy.lua".to_owned());
    config
        .environment
        .push(("WEIR_ATS_TEST_MOVE".to_owned(), "1".to_owned()));
    let server = Server::start(config);
    let address = server.ats().address();
    let reports = RefCell::new(String::new());
    let mut served = 0;
    let request = |path| told(Protocol::Http2, path, "hold@request_headers look@tick");
    wait_until(
        || {
            let Outcome::Response(response) = send(address, Protocol::Http1, &request("/busy")) else {
                panic!("no response");
            };
            assert_eq!(response.status, 200, "{response:?}");
            let mut reports = reports.borrow_mut();
            *reports = response.header("x-misbehave-report").unwrap_or_default();
            served += 1;
            let both = reports.contains("look@tick: a head") && reports.contains("look@tick: nothing");
            // More than it takes: each is another chance for one thread to get in the way of the other.
            (both && served >= 14).then_some(())
        },
        || format!("{reports:?}:\n{}", server.ats().logs().text()),
    );
    let record = origin
        .wait_for(|record| record.path.starts_with("/busy"))
        .unwrap();
    assert_eq!(record.values("x-misbehave-look"), [b"tick"]);
    server.lives();
}

/// A filter of the examples as its own file has it, for the paths below its name.
fn example(name: &str, keys: Value) -> Value {
    let mut block = filter(name, &module(name), "wasmtime");
    set(
        &mut block,
        "match",
        json!([{ "path_prefix": format!("/{name}") }, { "path_prefix": "/all" }]),
    );
    set(&mut block, "ticks", json!("every_vm"));
    if keys != Value::Null {
        set(&mut block, "configuration", keys);
    }
    block
}

/// The example filters together: ticks, queues between VMs, HTTP calls, shared data, bodies.
#[test]
fn all_examples_run_on_four_threads() {
    let (origin, auth) = (Origin::start().unwrap(), Origin::start().unwrap());
    let mut ext_auth = example(
        "ext-auth",
        json!({ "upstream": "auth", "path": "/", "authority": "auth" }),
    );
    set(&mut ext_auth, "upstreams.auth", json!(auth.url()));
    let filters = vec![
        example("prime-token", Value::Null),
        example(
            "header-rewrite",
            json!({ "response": { "set": { "x-example": "1" } } }),
        ),
        example("traffic-metrics", json!({ "summary_seconds": 1 })),
        example(
            "rate-limit",
            json!({ "requests": 1_000_000, "seconds": 1, "burst": 1_000_000, "key": { "header": "x-api-key" } }),
        ),
        ext_auth,
        example(
            "queue-producer",
            json!({ "vm_id": "queue-consumer", "queue": "requests" }),
        ),
        example(
            "queue-consumer",
            json!({ "queue": "requests", "keep": 20, "path": "/queue-consumer" }),
        ),
        example("body-hash", Value::Null),
        example(
            "body-rewrite",
            json!({ "replacements": [{ "find": "hedgehog", "replace": "porcupine" }] }),
        ),
    ];
    let mut config = with_filters(AtsConfig::new(origin.address()), Mode::Global, filters);
    config.threads = 4;
    let server = Server::start(config);
    let address = server.ats().address();
    let served = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (served, server) = (&served, &server);
            scope.spawn(move || {
                let mut connection = Http1::connect(address).unwrap();
                let mut streams = Http2::connect(address).unwrap();
                for round in 0..15 {
                    let text = "/all/?body=a%20hedgehog&header=content-type:text/plain";
                    let request = Request::post(text, "hello")
                        .header("token", "7")
                        .header("x-api-key", client.to_string());
                    let mut outcomes = vec![connection.request(&request).unwrap()];
                    outcomes.extend(streams.requests(&vec![request.clone(); 4]).unwrap());
                    for outcome in outcomes {
                        let log = || server.ats().logs().text();
                        assert!(
                            is(&outcome, 200, "a porcupine"),
                            "{round}: {outcome:?}\n{}",
                            log()
                        );
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(
        server.stat("wasm.weir.vm_died"),
        0,
        "{}",
        server.ats().logs().text()
    );
    let served = served.into_inner() as i64;
    wait_until(
        || (server.stat("wasm.weir.streams") >= served).then_some(()),
        || format!("{served} streams were served"),
    );
    let report = send(address, Protocol::Http1, &Request::get("/queue-consumer"));
    assert_eq!(status(&report), 200, "{report:?}");
    server.settles();
}
