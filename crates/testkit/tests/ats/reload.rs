//! New files take the place of old ones while requests go on; broken ones do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Mode, Origin, PATIENCE};

use crate::{get, module, values};

/// A filter that says its version in a response header.
fn version(version: &str) -> Value {
    let mut block = filter("version", &module("header-rewrite"), "wasmtime");
    set(
        &mut block,
        "configuration",
        json!({ "response": { "set": { "x-version": version } } }),
    );
    block
}

fn served(origin: &Origin, mode: Mode) -> Ats {
    let mut config = AtsConfig::new(origin.address()).filter(version("0"));
    config.mode = mode;
    config.managed = true;
    config.threads = 2;
    Ats::start(&config).unwrap()
}

/// Waits until a version serves.
fn becomes(ats: &Ats, version: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let seen = values(&get(ats, "/"), "x-version");
        if seen == [version] {
            return;
        }
        assert!(
            Instant::now() < until,
            "{seen:?} and not {version}\n{}",
            ats.logs().text()
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_changed_file_is_read_at_reload() {
    let origin = Origin::start().unwrap();
    for mode in [Mode::Global, Mode::Remap] {
        let ats = served(&origin, mode);
        becomes(&ats, "0");
        for number in ["1", "2"] {
            ats.write_filter("version", &version(number)).unwrap();
            ats.reload().unwrap();
            becomes(&ats, number);
        }
    }
}

#[test]
fn a_broken_file_leaves_the_old_one() {
    let origin = Origin::start().unwrap();
    let ats = served(&origin, Mode::Global);
    let mut without_module = version("1");
    set(
        &mut without_module,
        "vm_config.code.local.filename",
        json!("no_such.wasm"),
    );
    let mut refused_by_itself = version("1");
    set(
        &mut refused_by_itself,
        "configuration",
        json!("not what it understands"),
    );
    for (broken, says) in [
        (json!({ "name": "version", "no_such_key": 1 }), "version.yaml"),
        (without_module, "no_such.wasm"),
        (refused_by_itself, "version"),
    ] {
        let before = ats.logs().lines().len();
        ats.write_filter("version", &broken).unwrap();
        ats.reload().unwrap();
        let refused = ats.logs().wait(PATIENCE, |lines| {
            let mut new = lines.iter().skip(before);
            new.any(|line| line.level() == "error" && line.text.contains(says))
                .then_some(())
        });
        assert!(refused.is_some(), "{says}: not refused:\n{}", ats.logs().text());
        for _ in 0..10 {
            assert_eq!(values(&get(&ats, "/"), "x-version"), ["0"], "{says}");
        }
    }
    ats.write_filter("version", &version("1")).unwrap();
    ats.reload().unwrap();
    becomes(&ats, "1");
}

#[test]
fn a_watched_file_is_read_when_it_changes() {
    let origin = Origin::start().unwrap();
    let watched = |number| {
        let mut block = version(number);
        set(&mut block, "watch", json!(true));
        block
    };
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(watched("0"))).unwrap();
    becomes(&ats, "0");
    for number in ["1", "2"] {
        ats.write_filter("version", &watched(number)).unwrap();
        becomes(&ats, number);
    }
}

/// The document is a link into another folder, as releases are switched, beside a file that is written without a pause.
#[test]
fn a_watched_link_is_followed_beside_a_busy_neighbour() {
    let origin = Origin::start().unwrap();
    let watched = |number| {
        let mut block = version(number);
        set(&mut block, "watch", json!(true));
        block
    };
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(watched("0"))).unwrap();
    becomes(&ats, "0");
    let document = ats.server().etc().join("version.yaml");
    let folder = document.parent().unwrap().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("version.yaml");
    let end = Arc::new(AtomicBool::new(false));
    let busy = {
        let end = Arc::clone(&end);
        std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                std::fs::write(folder.join("neighbour.log"), "a line").unwrap();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        })
    };
    let write = |number| std::fs::write(&target, json!({ "config": watched(number) }).to_string()).unwrap();
    write("1");
    let new = document.with_extension("new");
    std::os::unix::fs::symlink(&target, &new).unwrap();
    std::fs::rename(&new, &document).unwrap();
    becomes(&ats, "1");
    write("2");
    becomes(&ats, "2");
    end.store(true, Ordering::SeqCst);
    busy.join().unwrap();
}

#[test]
fn reload_loses_no_request() {
    let origin = Origin::start().unwrap();
    let ats = served(&origin, Mode::Global);
    let (end, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (address, end, count) = (ats.address(), Arc::clone(&end), Arc::clone(&count));
            std::thread::spawn(move || {
                let request = Request::get("/?chunk=one&chunk=two&delay=2");
                let mut client = Http1::connect(address).unwrap();
                while !end.load(Ordering::SeqCst) {
                    let response = client.request(&request).unwrap().response().unwrap();
                    assert_eq!((response.status, response.text().as_str()), (200, "onetwo"));
                    assert_eq!(values(&response, "x-version").len(), 1, "{response:?}");
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..=5 {
        let number = number.to_string();
        ats.write_filter("version", &version(&number)).unwrap();
        ats.reload().unwrap();
        becomes(&ats, &number);
    }
    end.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert!(count.load(Ordering::SeqCst) > 0);
}
