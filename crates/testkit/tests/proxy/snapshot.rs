//! VMs that start from a snapshot.

use std::path::Path;
use std::thread;

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Http2, Outcome, Request};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, Origin, PATIENCE, Weir};

const MORTAL: &str = include_str!("../guests/mortal.wat");

fn frozen(mut block: Value) -> Value {
    set(&mut block, "snapshot", json!(true));
    block
}

fn mortal(folder: &Path) -> Value {
    filter(
        "mortal",
        &Guests::assemble(folder, "mortal", MORTAL).unwrap(),
        "wasmtime",
    )
}

fn config(origin: &Origin, block: Value) -> Config {
    Config::new(&origin.url())
        .set("workers", json!(4))
        .filter("mortal", block)
        .route("/", &["mortal"])
}

fn request(weir: &Weir, request: &Request) -> u16 {
    let outcome = Http1::connect(weir.address()).unwrap().request(request).unwrap();
    outcome.response().unwrap().status
}

/// Lines of the log so far with a text.
fn count(weir: &Weir, text: &str) -> usize {
    weir.logs()
        .lines()
        .iter()
        .filter(|line| line.text.contains(text))
        .count()
}

/// Waits for so many of them.
fn wait_for(weir: &Weir, text: &str, times: usize) {
    let seen = weir.logs().wait(PATIENCE, |lines| {
        (lines.iter().filter(|line| line.text.contains(text)).count() >= times).then_some(())
    });
    assert!(
        seen.is_some(),
        "not {times} times {text}:\n{}",
        weir.logs().text()
    );
}

/// Waits until the filter serves.
fn serves(weir: &Weir) {
    let until = std::time::Instant::now() + PATIENCE;
    while request(weir, &Request::get("/")) != 200 {
        assert!(std::time::Instant::now() < until, "{}", weir.logs().text());
        thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// The number of times that a VM was configured, but for those that follow one from the snapshot which had not served yet.
fn configured(weir: &Weir) -> usize {
    wait_for(
        weir,
        "spare VM ready",
        count(weir, "the next is started as usual"),
    );
    count(weir, "\"configured\"") - count(weir, "the next is started as usual")
}

/// One trial, one that is frozen.
const CONFIGURED: usize = 2;

#[test]
fn one_vm_is_configured_for_all_workers_and_replacements() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let weir = Weir::start(config(&origin, frozen(mortal(folder.path()))).value()).unwrap();
    wait_for(&weir, "VMs start from a snapshot", 1);
    for deaths in 1..=2 {
        (0..20).for_each(|_| assert_eq!(request(&weir, &Request::get("/")), 200));
        assert_eq!(request(&weir, &Request::get("/").header("x-die", "1")), 503);
        wait_for(&weir, "VM restarted", deaths);
        serves(&weir);
    }
    assert_eq!(configured(&weir), CONFIGURED, "{}", weir.logs().text());
}

#[test]
fn a_vm_that_dies_at_once_is_replaced_without_snapshot() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let config = config(&origin, frozen(mortal(folder.path()))).set("workers", json!(1));
    let weir = Weir::start(config.value()).unwrap();
    assert_eq!(request(&weir, &Request::get("/").header("x-die", "1")), 503);
    wait_for(&weir, "the next is started as usual", 1);
    wait_for(&weir, "VM restarted", 1);
    serves(&weir);
    // A VM from the snapshot has taken over, and the one that is started as usual waits for the next death.
    wait_for(&weir, "spare VM ready", 1);
    assert_eq!(count(&weir, "\"configured\""), CONFIGURED + 1);
    assert_eq!(request(&weir, &Request::get("/").header("x-die", "1")), 503);
    wait_for(&weir, "VM restarted", 2);
    serves(&weir);
    assert_eq!(count(&weir, "\"configured\""), CONFIGURED + 1);
}

#[test]
fn a_reload_keeps_the_snapshot_until_the_filter_changes() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let block = frozen(mortal(folder.path()));
    let weir = Weir::start(config(&origin, block.clone()).value()).unwrap();
    serves(&weir);
    let reload = |block: &Value, body: &str, times| {
        let changed = config(&origin, block.clone()).set("limits.body", json!(body));
        weir.write_config(changed.value()).unwrap();
        weir.signal("HUP").unwrap();
        wait_for(&weir, "configuration reloaded", times);
        serves(&weir);
    };
    reload(&block, "2MiB", 1);
    // VMs of the plan serve, so that nothing is tried again.
    assert_eq!(configured(&weir), CONFIGURED);
    assert_eq!(count(&weir, "VMs start from a snapshot"), 1);
    assert_eq!(request(&weir, &Request::get("/").header("x-die", "1")), 503);
    wait_for(&weir, "VM restarted", 1);
    assert_eq!(configured(&weir), CONFIGURED);

    let mut changed = block;
    set(&mut changed, "configuration", json!("another"));
    reload(&changed, "2MiB", 2);
    assert_eq!(configured(&weir), 2 * CONFIGURED);
    assert_eq!(count(&weir, "VMs start from a snapshot"), 2);
}

/// A rule engine, from a snapshot and without, under load: both say the same of every request.
#[test]
fn vms_from_a_snapshot_answer_as_others() {
    let module = Guests::build().unwrap().filter("bench-rules").unwrap();
    let block = |name: &str| {
        let mut block = filter(name, &module, "wasmtime");
        // The expressions take longer in a build without optimisation.
        set(&mut block, "limits.start_deadline", json!("60s"));
        set(&mut block, "limits.callback_deadline", json!("30s"));
        block
    };
    let mut frozen = block("frozen");
    set(
        &mut frozen,
        "snapshot",
        json!({ "warm_up": [{ "path": "/?q=1" }, { "method": "POST", "path": "/form", "body": "a=b" }] }),
    );
    let origin = Origin::start().unwrap();
    let config = Config::new(&origin.url())
        .set("workers", json!(4))
        .filter("plain", block("plain"))
        .filter("frozen", frozen)
        .route_with("/plain", json!({ "filters": ["plain"], "upstream": "echo" }))
        .route_with("/frozen", json!({ "filters": ["frozen"], "upstream": "echo" }));
    let weir = Weir::start(config.value()).unwrap();
    wait_for(&weir, "VMs start from a snapshot", 1);

    const PATHS: [&str; 6] = [
        "/",
        "/search?q=hedgehog",
        "/?id=1%20union%20select%20from%20users",
        "/?u=javascript:alert(document.cookie)",
        "/x/y/../../etc/passwd",
        "/?cmd=;wget%20http://a;curl",
    ];
    let ask = |thread: usize| {
        let mut answers = [Vec::new(), Vec::new()];
        for (place, prefix) in ["/plain", "/frozen"].into_iter().enumerate() {
            for round in 0..10 {
                let path = PATHS[(thread + round) % PATHS.len()];
                let mut request = Request::get(&format!("{prefix}{path}"));
                if round % 3 == 0 {
                    request.method = "POST".to_owned();
                    request.content = Content::Sized(b"note=drop table where".to_vec());
                }
                let outcome: Outcome = if thread.is_multiple_of(2) {
                    Http1::connect(weir.address()).unwrap().request(&request).unwrap()
                } else {
                    Http2::connect(weir.address()).unwrap().request(&request).unwrap()
                };
                let echoed = outcome.response().unwrap().text();
                let rules = echoed.lines().find_map(|line| line.strip_prefix("x-rules: "));
                answers[place].push(rules.unwrap_or_else(|| panic!("{echoed}")).to_owned());
            }
        }
        answers
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || ask(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for [plain, frozen] in &answers {
        assert_eq!(plain, frozen);
    }
    assert!(
        answers.iter().flatten().flatten().any(|rules| rules != "0"),
        "some rules match"
    );
}

#[test]
fn a_filter_that_cannot_be_frozen_starts_as_usual_and_says_why() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let mut block = frozen(mortal(folder.path()));
    set(&mut block, "vm_config.runtime", json!("wasmi"));
    let weir = Weir::start(config(&origin, block).value()).unwrap();
    wait_for(
        &weir,
        "although snapshot is on: the runtime wasmi takes no snapshots",
        1,
    );
    serves(&weir);
    assert_eq!(configured(&weir), 1 + 4, "a trial and a VM for each worker");
}
