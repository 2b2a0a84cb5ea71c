//! A guest's faults end its VM and nothing else: the proxy lives, the request gets the fail policy, the VM comes
//! back.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Http2, Outcome, Request};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, LogLine, Origin, PATIENCE, Weir, usable_runtimes};

/// Behaviours that end a VM.
const FATAL: [&str; 14] = [
    "panic",
    "unreachable",
    "out_of_bounds",
    "indirect_call",
    "exit",
    "exit_zero",
    "loop",
    "hostcall_loop",
    "memory",
    "stack",
    "allocator_zero",
    "allocator_wild",
    "allocator_panic",
    "allocator_reenter",
];

/// Behaviours that a guest survives, and what it says of them.
const HARMLESS: [(&str, &str); 3] = [
    ("wild", " refused"),
    ("grow", "refused"),
    ("reenter", "not re-entered"),
];

/// Callbacks of a stream before its response has begun: the client gets the fail policy.
const EARLY: [&str; 5] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "http_call_response",
    "response_headers",
];

/// Callbacks of a stream whose response has begun, or is over.
const LATE: [&str; 5] = ["response_body", "response_trailers", "done", "log", "delete"];

/// A filter for each behaviour in each callback, so that the back-off of one VM does not keep another waiting.
fn start(engine: &str, origin: &Origin, what: &[(&str, &str)], keys: &[(&str, Value)]) -> Weir {
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    let mut config = Config::new(&origin.url())
        .with_trailers()
        .set("workers", json!(1))
        .route("/healthy", &[]);
    for (behaviour, callback) in what {
        let name = format!("{behaviour}-{callback}");
        let mut block = filter(&name, &module, engine);
        set(&mut block, "limits.memory", json!("16MiB"));
        set(&mut block, "limits.callback_deadline", json!("100ms"));
        set(&mut block, "configuration", json!("upstream=origin"));
        for (key, value) in keys {
            set(&mut block, key, value.clone());
        }
        config = config
            .filter(&name, block)
            .route(&path(behaviour, callback), &[&name]);
    }
    Weir::start(config.value()).unwrap()
}

fn path(behaviour: &str, callback: &str) -> String {
    format!("/{behaviour}/{callback}/")
}

/// A request that brings about every callback of a stream.
fn request(behaviour: &str, callback: &str) -> Request {
    let path = path(behaviour, callback);
    let mut request = Request::new("POST", &format!("{path}?chunk=one&chunk=two&trailer=x-t:1"))
        .header("te", "trailers")
        .header("x-misbehave", format!("{behaviour}@{callback}"));
    request.content = Content::Chunks(vec![b"one".to_vec(), b"two".to_vec()]);
    request.trailers.push(("x-t".to_owned(), b"1".to_vec()));
    request
}

fn send(weir: &Weir, request: &Request) -> Outcome {
    Http1::connect(weir.address()).unwrap().request(request).unwrap()
}

/// Asks until the VM serves again.
fn comes_back(weir: &Weir, behaviour: &str, callback: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let outcome = send(weir, &Request::get(&path(behaviour, callback)));
        if matches!(&outcome, Outcome::Response(response) if response.status == 200) {
            return;
        }
        let log = || weir.logs().text();
        assert!(
            Instant::now() < until,
            "{behaviour}@{callback} stays dead: {outcome:?}\n{}",
            log()
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn lives(weir: &mut Weir) {
    assert!(weir.is_alive().unwrap(), "{}", weir.logs().text());
    let response = send(weir, &Request::get("/healthy")).response().unwrap();
    assert_eq!(response.status, 200);
}

/// Every fatal behaviour in each of these callbacks.
fn every(engine: &str, callbacks: &[&'static str], expected: impl Fn(&str, &Outcome) -> bool) {
    let origin = Origin::start().unwrap();
    let what: Vec<_> = callbacks
        .iter()
        .flat_map(|callback| FATAL.map(|behaviour| (behaviour, *callback)))
        .collect();
    let mut weir = start(engine, &origin, &what, &[]);
    let mut wrong = Vec::new();
    for (behaviour, callback) in &what {
        let outcome = send(&weir, &request(behaviour, callback));
        if !expected(callback, &outcome) {
            wrong.push(format!("{behaviour}@{callback}: {outcome:?}"));
        }
    }
    lives(&mut weir);
    assert!(
        wrong.is_empty(),
        "{engine}:\n{}\n{}",
        wrong.join("\n"),
        weir.logs().text()
    );
    for (behaviour, callback) in &what {
        comes_back(&weir, behaviour, callback);
    }
    lives(&mut weir);
}

fn early(_: &str, outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Response(response) if response.status == 503)
}

fn late(callback: &str, outcome: &Outcome) -> bool {
    match outcome {
        // Too late for another status: what was not sent yet is broken off, what was sent is a whole response.
        Outcome::Reset => callback.starts_with("response"),
        Outcome::Response(response) => {
            response.status == 503 || (response.status == 200 && response.body == b"onetwo")
        }
    }
}

/// A test for each runtime, since they take a while.
macro_rules! on_each_engine {
    ($($engine:ident: $name:literal)*) => {
        $(
            mod $engine {
                use super::*;

                const NAME: &str = $name;

                #[test]
                fn deaths_before_the_response_get_the_fail_policy() {
                    if usable_runtimes().contains(&NAME) {
                        every(NAME, &EARLY, early);
                    }
                }

                #[test]
                fn deaths_in_and_after_the_response_end_only_their_streams() {
                    if usable_runtimes().contains(&NAME) {
                        every(NAME, &LATE, late);
                    }
                }
            }
        )*
    };
}

on_each_engine!(wasmtime: "wasmtime" wamr: "wamr" wamr_jit: "wamr-jit" v8: "v8" wasmedge: "wasmedge" wasmi: "wasmi");

/// Callbacks of the plugin, which no request waits for.
#[test]
fn deaths_outside_of_streams_end_no_stream() {
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let what: Vec<_> = ["tick", "queue_ready"]
            .iter()
            .flat_map(|callback| FATAL.map(|behaviour| (behaviour, *callback)))
            .collect();
        let mut weir = start(engine, &origin, &what, &[]);
        for (behaviour, callback) in &what {
            // The fate of the request depends on the moment of the VM's death.
            send(&weir, &request(behaviour, callback));
        }
        let deaths = weir.logs().wait(PATIENCE, |lines| {
            let died = |line: &&LogLine| line.message().contains("restarting the VM");
            (lines.iter().filter(died).count() >= what.len()).then_some(())
        });
        assert!(
            deaths.is_some(),
            "{engine}: a VM still lives:\n{}",
            weir.logs().text()
        );
        for (behaviour, callback) in &what {
            comes_back(&weir, behaviour, callback);
        }
        lives(&mut weir);
    }
}

/// While it starts, the guest is refused; the rest serves.
#[test]
fn deaths_at_start_are_refused() {
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let mut config = Config::new(&origin.url())
            .set("start", json!("lenient"))
            .route("/healthy", &[]);
        let mut names = Vec::new();
        for (callback, key) in [
            ("start", "vm_config.environment_variables.key_values.MISBEHAVE"),
            ("root_create", "vm_config.configuration"),
            ("vm_start", "vm_config.configuration"),
            ("configure", "configuration"),
        ] {
            // In a start function, exit code 0 is a good end, and the allocator is not called.
            let possible = |behaviour: &str| {
                callback != "start" || !(behaviour.starts_with("allocator") || behaviour == "exit_zero")
            };
            for behaviour in FATAL.into_iter().filter(|behaviour| possible(behaviour)) {
                let name = format!("{behaviour}-{callback}");
                let mut block = filter(&name, &module, engine);
                set(
                    &mut block,
                    "limits",
                    json!({ "memory": "16MiB", "start_deadline": "200ms" }),
                );
                set(&mut block, key, json!(format!("{behaviour}@{callback}")));
                config = config
                    .filter(&name, block)
                    .route(&path(behaviour, callback), &[&name]);
                names.push((name, path(behaviour, callback)));
            }
        }
        let mut weir = Weir::start(config.value()).unwrap();
        for (name, path) in names {
            let refused =
                weir.logs().lines().iter().any(|line| {
                    line.level() == "error" && line.message().contains(&format!("filter {name}:"))
                });
            assert!(
                refused,
                "{engine}: {name} is not refused:\n{}",
                weir.logs().text()
            );
            let response = send(&weir, &Request::get(&path)).response().unwrap();
            assert_eq!(response.status, 503, "{engine}: {name}");
        }
        lives(&mut weir);
    }
}

#[test]
fn harmless_misuse_leaves_the_vm_alive() {
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let what = HARMLESS.map(|(behaviour, _)| (behaviour, "request_headers"));
        let mut weir = start(engine, &origin, &what, &[]);
        for (behaviour, says) in HARMLESS {
            let response = send(&weir, &request(behaviour, "request_headers"))
                .response()
                .unwrap();
            let report = response.header("x-misbehave-report").unwrap_or_default();
            assert!(
                report.contains(says),
                "{engine}: {behaviour}: {response:?}\n{}",
                weir.logs().text()
            );
        }
        lives(&mut weir);
    }
}

#[test]
fn fail_open_goes_on_without_the_filter() {
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let callbacks = [
            "request_headers",
            "request_body",
            "response_headers",
            "response_body",
        ];
        let what = callbacks.map(|callback| ("panic", callback));
        let mut weir = start(engine, &origin, &what, &[("fail_open", json!(true))]);
        for callback in callbacks {
            let response = send(&weir, &request("panic", callback)).response().unwrap();
            assert_eq!(
                (response.status, response.text().as_str()),
                (200, "onetwo"),
                "{engine}: {callback}"
            );
            // While the VM is gone.
            let response = send(&weir, &Request::get(&path("panic", callback)))
                .response()
                .unwrap();
            assert_eq!(response.status, 200);
        }
        weir.logs().wait_for("VM restarted").unwrap();
        lives(&mut weir);
    }
}

#[test]
fn fail_closed_refuses_until_the_vm_is_back() {
    let origin = Origin::start().unwrap();
    let weir = start("wasmtime", &origin, &[("panic", "request_headers")], &[]);
    let mut deaths = 0;
    // Until the restarts at once are used up.
    while !weir.logs().text().contains("restarting the VM in 1 s") {
        assert!(deaths < 1000, "{}", weir.logs().text());
        let trapped = send(&weir, &request("panic", "request_headers"))
            .response()
            .unwrap();
        assert_eq!(trapped.status, 503);
        deaths += 1;
    }
    // The back-off is a second; this comes at once.
    let refused = send(&weir, &Request::get("/panic/request_headers/"))
        .response()
        .unwrap();
    assert_eq!(refused.status, 503);
    assert!(
        origin
            .records()
            .iter()
            .all(|record| !record.path.starts_with("/panic"))
    );
    comes_back(&weir, "panic", "request_headers");
}

/// The number of times that the log has this.
fn logged(weir: &Weir, message: &str) -> usize {
    let lines = weir.logs().lines();
    lines
        .iter()
        .filter(|line| line.message().contains(message))
        .count()
}

/// Sends a poisonous request and many others after it, ten times over. As in a second, `prepared` has what it waits for
/// between two of them. Returns how many of the others were sent, and how many of them the filter did not see.
fn poison(weir: &Weir, prepared: impl Fn(usize)) -> (usize, usize) {
    let (mut sent, mut missed) = (0, 0);
    for death in 1..=10 {
        let poisonous = send(weir, &request("panic", "request_headers"))
            .response()
            .unwrap();
        assert_eq!(poisonous.status, 503);
        for _ in 0..100 {
            let other = send(weir, &Request::get("/panic/request_headers/"))
                .response()
                .unwrap();
            sent += 1;
            missed += usize::from(other.status != 200);
        }
        prepared(death);
    }
    (sent, missed)
}

fn wait_until(weir: &Weir, is_true: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "{}", weir.logs().text());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn poisonous_requests_leave_the_filter_to_others() {
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let weir = start(engine, &origin, &[("panic", "request_headers")], &[]);
        // The first death costs one start; it brings the spare.
        send(&weir, &request("panic", "request_headers"));
        comes_back(&weir, "panic", "request_headers");
        let spare = |death| wait_until(&weir, || logged(&weir, "spare VM ready") > death);
        spare(0);
        let (sent, missed) = poison(&weir, spare);
        assert_eq!((sent, missed), (1000, 0), "{engine}\n{}", weir.logs().text());
    }
}

#[test]
fn a_snapshot_replaces_a_vm_before_the_next_request() {
    let origin = Origin::start().unwrap();
    let keys = [("snapshot", json!(true))];
    let weir = start("wasmtime", &origin, &[("panic", "request_headers")], &keys);
    assert_eq!(logged(&weir, "VMs start from a snapshot"), 1);
    let (sent, missed) = poison(&weir, |_| {});
    assert_eq!((sent, missed), (1000, 0), "{}", weir.logs().text());
}

#[test]
fn a_deadline_in_the_log_names_filter_route_key_and_time() {
    for engine in usable_runtimes() {
        let origin = Origin::start().unwrap();
        let weir = start(engine, &origin, &[("loop", "request_headers")], &[]);
        send(&weir, &request("loop", "request_headers"));
        let line = weir
            .logs()
            .wait_for("limits.callback_deadline is 100 ms")
            .unwrap()
            .text;
        for part in [
            "filter loop-request_headers: route ",
            "misbehave.wasm: the VM has died: proxy_on_request_headers trapped: CPU time exceeded (at least 1",
        ] {
            assert!(line.contains(part), "{engine}: {part} is not in {line}");
        }
    }
}

#[test]
fn a_death_ends_the_other_streams_of_the_vm_too() {
    let origin = Origin::start().unwrap();
    let weir = start("wasmtime", &origin, &[("panic", "tick")], &[]);
    let mut client = Http2::connect(weir.address()).unwrap();
    let paused = Request::get("/panic/tick/").header("x-misbehave", "pause@request_headers");
    let fatal = Request::get("/panic/tick/").header("x-misbehave", "panic@tick");
    let outcomes = client.requests(&[paused, fatal]).unwrap();
    let paused = outcomes[0].clone().response().unwrap();
    assert_eq!(paused.status, 503, "{}", weir.logs().text());
    comes_back(&weir, "panic", "tick");
}

#[test]
fn the_log_names_the_fault_and_its_function() {
    let origin = Origin::start().unwrap();
    let weir = start("wasmtime", &origin, &[("panic", "request_headers")], &[]);
    send(&weir, &request("panic", "request_headers"));
    weir.logs().wait_for("told to panic in request_headers").unwrap();
    let line = weir.logs().wait_for("at proxy_on_request_headers").unwrap();
    assert!(line.text.contains("misbehave.wasm"), "{}", line.text);
}

/// Go's runtime writes the story of a panic in dozens of pieces: one record, one more of the death.
#[test]
fn a_panic_of_go_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let Some(module) = Guests::build_go(folder.path()).unwrap() else {
        return;
    };
    let origin = Origin::start().unwrap();
    let mut block = filter("go", &module, "wasmtime");
    set(&mut block, "fail_open", json!(true));
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .filter("go", block)
        .route("/", &["go"]);
    let weir = Weir::start(config.value()).unwrap();
    let outcome = send(&weir, &Request::get("/"));
    assert!(matches!(&outcome, Outcome::Response(response) if response.status == 200));
    weir.logs().wait_for("the VM has died").unwrap();
    let lines = weir.logs().lines();
    let of = |target: &str| -> Vec<&LogLine> {
        let is = |line: &&LogLine| line.field("target") == Some(target) && line.level() == "error";
        lines.iter().filter(is).collect()
    };
    let [story] = of("guest")[..] else {
        panic!("{}", weir.logs().text());
    };
    let told = story.message();
    assert!(
        told.starts_with("panic: assignment to entry in nil map\n"),
        "{told}"
    );
    assert!(told.contains("\ngoroutine "), "{told}");
    assert_eq!(of("weir::guest").len(), 1, "{}", weir.logs().text());
}
