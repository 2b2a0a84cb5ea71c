//! VMs that start from a snapshot.

use std::thread;

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin, PATIENCE};

use crate::values;

const MORTAL: &str = include_str!("../guests/mortal.wat");

fn ask(ats: &Ats, request: &Request) -> (u16, Vec<String>) {
    let outcome = Http1::connect(ats.address()).unwrap().request(request).unwrap();
    let response = outcome.response().unwrap();
    (response.status, values(&response, "x-seen"))
}

fn count(ats: &Ats, text: &str) -> usize {
    let is = |line: &&weir_testkit::LogLine| line.message().contains(text);
    ats.logs().lines().iter().filter(is).count()
}

/// Four threads under load while VMs die, and a reload: one VM is configured for all of them each time.
#[test]
fn one_vm_is_configured_for_all_threads_and_replacements() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let module = Guests::assemble(folder.path(), "mortal", MORTAL).unwrap();
    let block = |configuration: &str| {
        let mut block = filter("mortal", &module, "wasmtime");
        set(
            &mut block,
            "snapshot",
            json!({ "warm_up": [{ "path": "/warm" }] }),
        );
        set(&mut block, "configuration", json!(configuration));
        block
    };
    let mut config = AtsConfig::new(origin.address()).filter(block("first"));
    config.threads = 4;
    config.managed = true;
    let ats = Ats::start(&config).unwrap();
    assert!(
        ats.logs().wait_for("VMs start from a snapshot").is_some(),
        "{}",
        ats.logs().text()
    );

    let load = |ats: &Ats| {
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    for round in 0..25 {
                        let deadly = number == 0 && round % 10 == 9;
                        let request = match deadly {
                            true => Request::get("/").header("x-die", "1"),
                            false => Request::get("/"),
                        };
                        match ask(ats, &request) {
                            (200, seen) => assert_eq!((seen, deadly), (vec!["configured".to_owned()], false)),
                            // Its own fault, or that of another on the same thread.
                            (status, _) => assert_eq!(status, 503),
                        }
                    }
                });
            }
        });
    };
    load(&ats);
    let died = ats.logs().wait(PATIENCE, |lines| {
        lines
            .iter()
            .any(|line| line.message().contains("VM restarted"))
            .then_some(())
    });
    assert!(died.is_some(), "{}", ats.logs().text());
    // A trial, one that is frozen, and one after each death of a VM that had served nothing yet.
    let as_said = ats.logs().wait(PATIENCE, |lines| {
        let said = |text| lines.iter().filter(|line| line.text.contains(text)).count();
        (said("configured") == 2 + said("the next is started as usual")).then_some(())
    });
    assert!(as_said.is_some(), "{}", ats.logs().text());

    ats.write_filter("mortal", &block("second")).unwrap();
    ats.reload().unwrap();
    let again = ats.logs().wait(PATIENCE, |lines| {
        let taken = lines
            .iter()
            .filter(|line| line.message().contains("VMs start from a snapshot"));
        (taken.count() == 2).then_some(())
    });
    assert!(again.is_some(), "{}", ats.logs().text());
    load(&ats);
    let usual = count(&ats, "the next is started as usual");
    assert_eq!(count(&ats, "configured"), 4 + usual, "{}", ats.logs().text());
}

/// One poisonous request and many others after it, ten times over. Without a snapshot the first death is answered by a start; from
/// then on, and with a snapshot always, the filter sees every other request.
#[test]
fn poisonous_requests_leave_the_filter_to_others() {
    for snapshot in [false, true] {
        let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
        let module = Guests::assemble(folder.path(), "mortal", MORTAL).unwrap();
        let mut block = filter("mortal", &module, "wasmtime");
        set(&mut block, "fail_open", json!(true));
        set(&mut block, "snapshot", json!(snapshot));
        let mut config = AtsConfig::new(origin.address()).filter(block);
        config.threads = 1;
        let ats = Ats::start(&config).unwrap();
        let die = || ask(&ats, &Request::get("/").header("x-die", "1"));
        let wait = |text: &str, times: usize| {
            let found = ats.logs().wait(PATIENCE, |lines| {
                let said = lines.iter().filter(|line| line.message().contains(text)).count();
                (said >= times).then_some(())
            });
            assert!(
                found.is_some(),
                "not {times} times {text}:\n{}",
                ats.logs().text()
            );
        };
        if !snapshot {
            die();
            wait("spare VM ready", 1);
        }
        for death in 1..=10 {
            assert_eq!(die(), (200, Vec::new()), "the policy is open");
            for _ in 0..50 {
                let seen = vec!["configured".to_owned()];
                assert_eq!(
                    ask(&ats, &Request::get("/")),
                    (200, seen),
                    "{}",
                    ats.logs().text()
                );
            }
            if !snapshot {
                wait("spare VM ready", death + 1);
            }
        }
    }
}
