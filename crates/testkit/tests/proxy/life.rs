//! Shutdown and reload cut no response.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Http2, Request};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, Origin, PATIENCE, Weir};

use crate::guest;

#[test]
fn shutdown_cuts_no_response() {
    let origin = Origin::start().unwrap();
    let mut weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    let address = weir.address();
    let request = Request::get("/?chunk=one&chunk=two&chunk=three&delay=150");
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let mut request = request.clone();
            request.path.push_str(&format!("&number={number}"));
            thread::spawn(move || {
                let outcome = if number % 2 == 0 {
                    Http1::connect(address).unwrap().request(&request).unwrap()
                } else {
                    Http2::connect(address).unwrap().request(&request).unwrap()
                };
                outcome.response().unwrap().text()
            })
        })
        .collect();
    for number in 0..8 {
        origin
            .wait_for(|record| record.path.ends_with(&format!("number={number}")))
            .unwrap();
    }
    let status = weir.stop().unwrap();
    for client in clients {
        assert_eq!(client.join().unwrap(), "onetwothree", "{}", weir.logs().text());
    }
    assert!(status.success(), "{status}\n{}", weir.logs().text());
    assert!(Http1::connect(address).is_err());
}

/// A configuration whose filter says its version in a response header.
fn version(origin: &Origin, version: &str, watch: bool) -> Value {
    let module = Guests::build().unwrap().filter("header-rewrite").unwrap();
    let mut block = filter("version", &module, "wasmtime");
    set(
        &mut block,
        "configuration",
        json!({ "response": { "set": { "x-version": version } } }),
    );
    let config = Config::new(&origin.url())
        .set("watch", json!(watch))
        .filter("version", block);
    config.route("/", &["version"]).value().clone()
}

fn serves(weir: &Weir) -> String {
    let response = Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap();
    response
        .response()
        .unwrap()
        .header("x-version")
        .unwrap_or_default()
}

/// Waits until the log has had a number of lines with a text.
fn times(weir: &Weir, text: &str, times: usize) {
    let seen = weir.logs().wait(PATIENCE, |lines| {
        (lines.iter().filter(|line| line.text.contains(text)).count() >= times).then_some(())
    });
    assert!(
        seen.is_some(),
        "not {times} times `{text}`:\n{}",
        weir.logs().text()
    );
}

const RELOADED: &str = "configuration reloaded";
const KEPT: &str = "reload failed";

#[test]
fn reload_loses_no_request() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "0", false)).unwrap();
    let (end, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (address, end, served) = (weir.address(), Arc::clone(&end), Arc::clone(&served));
            thread::spawn(move || {
                let request = Request::get("/?chunk=one&chunk=two&delay=2");
                let mut kept = Http1::connect(address).unwrap();
                while !end.load(Ordering::SeqCst) {
                    // Some keep their connection for as long as the proxy does, some come anew each time.
                    if number % 2 == 0 {
                        kept = Http1::connect(address).unwrap();
                    }
                    let response = kept.request(&request).unwrap().response().unwrap();
                    assert_eq!((response.status, response.text().as_str()), (200, "onetwo"));
                    assert!(response.header("x-version").is_some(), "{response:?}");
                    if response.header("connection").as_deref() == Some("close") {
                        kept = Http1::connect(address).unwrap();
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..=5 {
        weir.write_config(&version(&origin, &number.to_string(), false))
            .unwrap();
        weir.signal("HUP").unwrap();
        times(&weir, RELOADED, number);
        assert_eq!(serves(&weir), number.to_string());
    }
    end.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert!(served.load(Ordering::SeqCst) > 0);
}

/// A filter holds the request until its call is answered, and the configuration changes meanwhile: the filters behind it
/// that are still to come are those that the stream began with.
#[test]
fn a_stream_that_waits_through_a_reload_finds_its_filters() {
    let origin = Origin::start().unwrap();
    let calls = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut holding = filter(
        "holding",
        &Guests::build().unwrap().filter("misbehave").unwrap(),
        "wasmtime",
    );
    set(&mut holding, "configuration", json!("upstream=calls"));
    let with_version = |number: &str| {
        let mut config = version(&origin, number, false);
        config["upstreams"]["calls"] = json!(format!("http://{}", calls.local_addr().unwrap()));
        config["filters"]["holding"]["config"] = holding.clone();
        config["routes"][0]["filters"] = json!(["holding", "version"]);
        config
    };
    let weir = Weir::start(&with_version("1")).unwrap();
    let address = weir.address();
    let client = thread::spawn(move || {
        let request = Request::get("/").header("x-misbehave", "hold_call@request_headers");
        let outcome = Http1::connect(address).unwrap().request(&request).unwrap();
        outcome.response().unwrap()
    });
    let (mut call, _) = calls.accept().unwrap();
    assert!(call.read(&mut [0; 1024]).unwrap() > 0);

    weir.write_config(&with_version("2")).unwrap();
    weir.signal("HUP").unwrap();
    times(&weir, RELOADED, 1);
    call.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let response = client.join().unwrap();
    assert_eq!(response.status, 200, "{response:?}\n{}", weir.logs().text());
    assert_eq!(response.header("x-version").as_deref(), Some("1"));
    assert_eq!(serves(&weir), "2");
}

#[test]
fn a_changed_file_is_read_again() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "1", true)).unwrap();
    assert_eq!(serves(&weir), "1");
    weir.write_config(&version(&origin, "2", true)).unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(serves(&weir), "2");
}

#[test]
fn a_changed_module_is_read_again() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("filter.wasm");
    std::fs::copy(guest("add_header_map_value"), &module).unwrap();
    let config = Config::new(&origin.url())
        .set("watch", json!(true))
        .filter("filter", filter("filter", &module, "wasmtime"))
        .route("/", &["filter"]);
    let weir = Weir::start_in(folder, config.value()).unwrap();
    let reports = || {
        let response = Http1::connect(weir.address())
            .unwrap()
            .request(&Request::get("/"))
            .unwrap();
        response.response().unwrap().values("x-report").len()
    };
    assert!(reports() > 0);
    // In one step, as a build does: a half-written module would be refused, and the old one stay.
    let new = module.with_extension("new");
    std::fs::copy(guest("header_edit_too_late"), &new).unwrap();
    std::fs::rename(&new, &module).unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(reports(), 0);
}

/// As `weir serve > weir.log` beside `weir.yaml`, or any other file that is written without a pause.
#[test]
fn a_busy_neighbour_does_not_put_a_reload_off() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "1", true)).unwrap();
    let (end, folder) = (Arc::new(AtomicBool::new(false)), weir.folder().to_owned());
    let busy = {
        let end = Arc::clone(&end);
        thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                std::fs::write(folder.join("weir.log"), "a line").unwrap();
                thread::park_timeout(Duration::from_millis(20));
            }
        })
    };
    weir.write_config(&version(&origin, "2", true)).unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(serves(&weir), "2");
    end.store(true, Ordering::SeqCst);
    busy.join().unwrap();
}

#[test]
fn a_module_behind_a_link_is_read_again() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (release, module) in [("r1", "add_header_map_value"), ("r2", "header_edit_too_late")] {
        std::fs::create_dir(folder.path().join(release)).unwrap();
        std::fs::copy(guest(module), folder.path().join(release).join("filter.wasm")).unwrap();
    }
    let current = folder.path().join("current");
    symlink("r1", &current).unwrap();
    let config = Config::new(&origin.url())
        .set("watch", json!(true))
        .filter(
            "filter",
            filter("filter", &current.join("filter.wasm"), "wasmtime"),
        )
        .route("/", &["filter"]);
    let weir = Weir::start_in(folder, config.value()).unwrap();
    let reports = || {
        let mut client = Http1::connect(weir.address()).unwrap();
        let response = client.request(&Request::get("/")).unwrap();
        response.response().unwrap().values("x-report").len()
    };
    assert!(reports() > 0);
    let new = weir.folder().join("new");
    symlink("r2", &new).unwrap();
    std::fs::rename(&new, &current).unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(reports(), 0);
}

/// The reason for the failure is none of the files: an address that somebody else has, for a while.
#[test]
fn a_failed_reload_is_tried_again() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "1", true)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut moved = version(&origin, "2", true);
    let address = taken.local_addr().unwrap();
    moved["listeners"] = json!([{ "address": "127.0.0.1:0" }, { "address": address }]);
    weir.write_config(&moved).unwrap();
    times(&weir, KEPT, 1);
    assert_eq!(serves(&weir), "1");
    drop(taken);
    times(&weir, RELOADED, 1);
    assert_eq!(serves(&weir), "2");
    // Retries that fail for the same reason are not logged again.
    let lines = weir.logs().lines();
    let kept = lines.iter().filter(|line| line.text.contains(KEPT)).count();
    assert_eq!(kept, 1, "{}", weir.logs().text());
}

#[test]
fn changed_keys_of_the_process_wait_for_a_restart() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "1", false)).unwrap();
    let mut changed = version(&origin, "2", false);
    changed["code_cache"] = json!("off");
    changed["wasmtime"] = json!(["fuel"]);
    weir.write_config(&changed).unwrap();
    weir.signal("HUP").unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(serves(&weir), "2");
    let lines = weir.logs().lines();
    let restart: Vec<&str> = lines
        .iter()
        .filter(|line| line.text.contains("takes a restart"))
        .map(|line| line.text.as_str())
        .collect();
    assert!(
        restart.len() == 2 && restart[0].contains("code_cache") && restart[1].contains("wasmtime"),
        "{restart:?}"
    );
}

#[test]
fn the_last_good_configuration_stays() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(&version(&origin, "1", false)).unwrap();
    let refused_by_guest = {
        let mut config = version(&origin, "2", false);
        set(
            &mut config,
            "filters.version.config.configuration",
            json!({ "nonsense": true }),
        );
        config
    };
    let mut unknown_key = version(&origin, "2", false);
    unknown_key["nonsense"] = json!(true);
    for (number, wrong) in [json!("no map"), unknown_key, refused_by_guest]
        .iter()
        .enumerate()
    {
        weir.write_config(wrong).unwrap();
        weir.signal("HUP").unwrap();
        times(&weir, KEPT, number + 1);
        assert_eq!(serves(&weir), "1", "{wrong}");
    }
    weir.write_config(&version(&origin, "3", false)).unwrap();
    weir.signal("HUP").unwrap();
    times(&weir, RELOADED, 1);
    assert_eq!(serves(&weir), "3");
}

#[test]
fn a_client_that_leaves_ends_its_streams() {
    let origin = Origin::start().unwrap();
    let block = filter("lifecycle", &guest("lifecycle"), "wasmtime");
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .filter("lifecycle", block);
    let weir = Weir::start(config.route("/", &["lifecycle"]).value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    client.send_request(&Request::get("/?delay=2000")).unwrap();
    weir.logs().wait_for("lifecycle: request headers").unwrap();
    drop(client);
    for line in ["lifecycle: done", "lifecycle: log", "lifecycle: delete it true"] {
        assert!(
            weir.logs().wait_for(line).is_some(),
            "{line}:\n{}",
            weir.logs().text()
        );
    }
}
