//! Many reloads under load: no request is lost or sees something else than a version that was there, bad files leave the old
//! ones, VMs that are no longer needed end, and memory is in the end what it was after the first reloads.
//!
//! `WEIR_RELOADS` is how many; `cargo xtask soak-ats` sets it to a thousand.
#![allow(clippy::unwrap_used)]

mod ats_kit;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ats_kit::*;
use serde_json::{Value, json};
use weir_testkit::client::{Http1, Http2, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{AtsConfig, LogLine, Mode, Origin, PATIENCE};

/// The number of reloads, unless told.
const RELOADS: u64 = 45;

/// Of how many reloads one is of a bad file.
const BAD: u64 = 10;

/// The most memory in the end, after so much in the beginning: a twentieth more, and in a short run 8 MiB that
/// allocators keep for their threads. A long one measures from when they have them.
fn bearable(memory: u64) -> u64 {
    let kept = if reloads() > RELOADS { 0 } else { 8 << 20 };
    memory + memory / 20 + kept
}

fn reloads() -> u64 {
    let told = std::env::var("WEIR_RELOADS").ok();
    told.map_or(RELOADS, |count| count.parse().unwrap())
}

/// A filter that says its version in a response header.
fn version(name: &str, version: u64) -> Value {
    let mut block = filter(name, &module("header-rewrite"), "wasmtime");
    set(
        &mut block,
        "configuration",
        json!({ "response": { "set": { format!("x-{name}"): version.to_string() } } }),
    );
    set(&mut block, "watch", json!(true));
    block
}

/// One that buffers, holds streams and makes calls meanwhile. Its VM is another one at each version.
fn holding(version: u64, calls: &Origin) -> Value {
    let mut block = misbehaving("holding", "/", false);
    set(&mut block, "vm_config.configuration", json!(""));
    set(&mut block, "configuration", json!("upstream=calls"));
    set(&mut block, "upstreams.calls", json!(calls.url()));
    set(
        &mut block,
        "vm_config.environment_variables.key_values.VERSION",
        json!(version.to_string()),
    );
    set(&mut block, "watch", json!(true));
    block
}

fn bad(number: u64) -> Value {
    match number % 4 {
        0 => json!({ "name": "version", "no_such_key": number }),
        1 => {
            let mut block = version("version", number);
            set(&mut block, "vm_config.code.local.filename", json!("no_such.wasm"));
            block
        }
        2 => {
            let mut block = version("version", number);
            set(&mut block, "configuration", json!("not what it understands"));
            block
        }
        _ => {
            let mut block = filter("version", &module("misbehave"), "wasmtime");
            set(&mut block, "configuration", json!("loop@configure"));
            set(&mut block, "limits.start_deadline", json!("50ms"));
            set(&mut block, "watch", json!(true));
            block
        }
    }
}

/// The version that a whole and right response shows.
fn seen(outcome: &Outcome, name: &str) -> u64 {
    let Outcome::Response(response) = outcome else {
        panic!("a request was lost");
    };
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "onetwo"),
        "{response:?}"
    );
    let values = response.values(&format!("x-{name}"));
    assert_eq!(values.len(), 1, "{response:?}");
    String::from_utf8_lossy(values[0]).parse().unwrap()
}

/// The state that the clients of a server share with the one that reloads.
#[derive(Default)]
struct Load {
    end: AtomicBool,
    /// The newest version that has been written.
    written: AtomicU64,
    served: AtomicU64,
}

impl Load {
    /// Sends requests until the end; no version may come before an older one.
    fn run(&self, mut send: impl FnMut(&Request) -> Vec<Outcome>, rules: &str) {
        let mut newest = 0;
        while !self.end.load(Ordering::SeqCst) {
            let outcomes = send(&told(Protocol::Http2, "/", rules));
            let written = self.written.load(Ordering::SeqCst);
            for outcome in outcomes {
                let version = seen(&outcome, "version");
                assert!(version <= written, "{version} of {written}");
                newest = newest.max(version);
                self.served.fetch_add(1, Ordering::Relaxed);
            }
        }
        // The client has seen the last reload or one not long before it.
        assert!(newest > 0 || self.written.load(Ordering::SeqCst) == 0);
    }
}

/// Lines of the log with this text.
fn count(server: &Server, text: &str) -> usize {
    server
        .ats()
        .logs()
        .lines()
        .iter()
        .filter(|line: &&LogLine| line.text.contains(text))
        .count()
}

const REFUSED: &str = "reload failed";

fn resident(server: &Server) -> u64 {
    server.ats().server().resident().unwrap().0
}

/// VMs that are there.
fn vms(server: &Server) -> i64 {
    let [started, ended] = server.stats(["wasm.weir.vm_started", "wasm.weir.vm_ended"]);
    started - ended
}

#[test]
fn watched_files_are_reloaded_under_load() {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let mut config = AtsConfig::new(origin.address())
        .filter(version("version", 0))
        .filter(holding(0, &calls));
    config.threads = 2;
    let server = Server::start(config);
    let (ats, address) = (server.ats(), server.ats().address());
    let load = Load::default();
    let warm = reloads() / 3;
    let mut memory = 0;
    std::thread::scope(|scope| {
        for rules in [
            "",
            "hold_call@request_headers hold@response_headers",
            "hold@response_body",
        ] {
            let load = &load;
            scope.spawn(move || {
                let mut client = Http1::connect(address).unwrap();
                load.run(|request| vec![client.request(request).unwrap()], rules);
            });
        }
        scope.spawn(|| {
            let mut client = Http2::connect(address).unwrap();
            load.run(
                |request| client.requests(&[request.clone(), request.clone()]).unwrap(),
                "hold@request_body",
            );
        });
        let ended = End(&load.end);
        for number in 1..=reloads() {
            if number % BAD == 0 {
                let refused = count(&server, REFUSED);
                ats.write_filter("version", &bad(number / BAD)).unwrap();
                let again = ats.logs().wait(PATIENCE, |lines| {
                    let now = lines.iter().filter(|line| line.text.contains(REFUSED)).count();
                    (now > refused).then_some(())
                });
                assert!(again.is_some(), "{number} is not refused");
            }
            load.written.store(number, Ordering::SeqCst);
            ats.write_filter("version", &version("version", number)).unwrap();
            if number % 3 == 0 {
                ats.write_filter("holding", &holding(number, &calls)).unwrap();
            }
            wait_until(
                || {
                    let request = told(Protocol::Http1, "/", "");
                    let version = seen(&send(address, Protocol::Http1, &request), "version");
                    (version == number).then_some(())
                },
                || format!("{number} never served"),
            );
            if number == warm {
                memory = resident(&server);
            }
            if number % (reloads() / 15).max(1) == 0 {
                eprintln!("{number}: {} KiB resident", resident(&server) >> 10);
            }
        }
        drop(ended);
    });
    let served = load.served.load(Ordering::Relaxed);
    assert!(served > 0);
    // One of each filter on each thread.
    wait_until(
        || (vms(&server) == 4).then_some(()),
        || format!("{} VMs are there", vms(&server)),
    );
    server.settles();
    let now = resident(&server);
    eprintln!(
        "{} reloads, {served} requests, {} VMs started; resident after {warm}: {} KiB, in the end: {} KiB",
        reloads(),
        server.stat("wasm.weir.vm_started"),
        memory >> 10,
        now >> 10
    );
    assert!(now < bearable(memory), "{now} bytes after {memory}");
}

/// Whatever happens, the clients end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// `remap.config` with a rule that stays, and another whose filters come and go.
fn rules(origin: &Origin, number: u64) -> String {
    let other = match number % 3 {
        0 => "",
        1 => " @plugin=wasm.so @pparam=other.yaml",
        _ => " @plugin=wasm.so @pparam=other.yaml @pparam=third.yaml",
    };
    let url = origin.url();
    format!(
        "map /steady/ {url}/ @plugin=wasm.so @pparam=steady.yaml\nmap /other/ {url}/{other}\nmap / {url}/\n# {number}\n"
    )
}

#[test]
fn remap_config_is_reloaded_under_load() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address())
        .filter_file("steady.yaml", &version("steady", 1))
        .filter_file("other.yaml", &version("other", 2))
        .filter_file("third.yaml", &version("third", 3));
    config.mode = Mode::Remap;
    config.managed = true;
    config.threads = 2;
    // The rule for everything else is the testkit's.
    config.remap = rules(&origin, 0).lines().take(2).map(str::to_owned).collect();
    let server = Server::start(config);
    let (ats, address) = (server.ats(), server.ats().address());
    let end = AtomicBool::new(false);
    let served = AtomicU64::new(0);
    // Each takes the server some seconds.
    let reloads = reloads() / 15;
    std::thread::scope(|scope| {
        for path in ["/steady/", "/other/"] {
            let (end, served) = (&end, &served);
            scope.spawn(move || {
                let mut client = Http1::connect(address).unwrap();
                while !end.load(Ordering::SeqCst) {
                    let request = told(Protocol::Http1, path, "");
                    let outcome = client.request(&request).unwrap();
                    if path == "/steady/" {
                        assert_eq!(seen(&outcome, "steady"), 1);
                    }
                    assert!(is(&outcome, 200, "onetwo"), "{outcome:?}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ended = End(&end);
        for number in 1..=reloads {
            ats.server()
                .write("remap.config", rules(&origin, number))
                .unwrap();
            ats.reload().unwrap();
            wait_until(
                || {
                    let outcome = send(address, Protocol::Http1, &told(Protocol::Http1, "/other/", ""));
                    let Outcome::Response(response) = outcome else {
                        panic!("a request was lost");
                    };
                    let shown = ["x-other", "x-third"].map(|name| u64::from(response.header(name).is_some()));
                    (shown[0] + shown[1] == number % 3).then_some(())
                },
                || format!("rules {number} never served"),
            );
        }
        drop(ended);
    });
    assert!(served.load(Ordering::Relaxed) > 0);
    let expected = 2 * (1 + (reloads % 3) as i64);
    wait_until(
        || (vms(&server) == expected).then_some(()),
        || format!("{} VMs are there, not {expected}", vms(&server)),
    );
    server.lives();
}
