//! The logs of `weir serve`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use super::support::{command, folder};

use super::serving::{get_from, signal};

/// Logs 256 KiB at each request, and answers it with 403.
const LOUD_GATE: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $left i32)
        (memory.fill (i32.const 0) (i32.const 120) (i32.const 65536))
        (local.set $left (i32.const 4))
        (loop $again
            (drop (call $log (i32.const 4) (i32.const 0) (i32.const 65536)))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const -1)))
        i32.const 1))"#;

/// More than `LOUD_GATE` logs in a second.
const UNBOUNDED: &str = "1GiB";

/// The lines of `LOUD_GATE` fill the log's buffer, the part that is being written, and a pipe many times.
const LOUD_REQUESTS: usize = 160;

/// A proxy with `LOUD_GATE`, which may log so much; and its address.
fn loud(folder: &Path, log: &str, targets: &str, stderr: Stdio) -> (Child, String) {
    fs::write(folder.join("loud.wasm"), wat::parse_str(LOUD_GATE).unwrap()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config = format!(
        "listen: {address}\nworkers: 1\nwatch: false\naccess_log: stderr\nfilters:\n  \
         gate: {{ fail_policy: open, limits: {{ log: {log} }}, vm_config: {{ code: {{ local: {{ filename: loud.wasm }} }} }} }}\n\
         routes:\n  - {{ filters: [gate], static: {{ status: 204 }} }}\n"
    );
    fs::write(folder.join("weir.yaml"), config).unwrap();
    let mut child = command(folder, &["serve", "--config", "weir.yaml"])
        .env("WEIR_LOG", targets)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    while TcpStream::connect(&address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it does not serve");
        std::thread::yield_now();
    }
    (child, address)
}

#[test]
fn a_log_that_takes_no_lines_stops_nothing() {
    for target in ["unread", "gone", "full"] {
        let folder = folder(&[]);
        let stderr = match target {
            "full" => fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
            _ => Stdio::piped(),
        };
        let (mut child, address) = loud(folder.path(), UNBOUNDED, "", stderr);
        let reader = child.stderr.take().filter(|_| target == "unread");
        for _ in 0..LOUD_REQUESTS {
            assert!(get_from(&address).ends_with("403 Forbidden"), "{target}");
        }
        // SIGHUP takes the filter out.
        let config = fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
        let open = config.replace("filters: [gate], ", "");
        fs::write(folder.path().join("weir.yaml"), open).unwrap();
        signal(&child, "HUP");
        while !get_from(&address).ends_with("204 No Content") {
            std::thread::yield_now();
        }
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{target}");
        drop(reader);
    }
}

#[test]
fn the_log_says_how_many_lines_it_lost() {
    let folder = folder(&[]);
    let (mut child, address) = loud(folder.path(), UNBOUNDED, "", Stdio::piped());
    for _ in 0..LOUD_REQUESTS {
        get_from(&address);
    }
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let said = line["message"]
            .as_str()?
            .starts_with("lines are missing in the log");
        said.then_some(line)
    });
    let said = said.unwrap();
    assert!(said["lines"].as_u64().unwrap() > 0, "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_filter_logs_no_more_than_it_may() {
    for (targets, expected) in [("", 1), ("info,guest=off", 0), ("info,weir::guest=off", 1)] {
        let folder = folder(&[]);
        // Room for one of its lines; nothing flows back while the test runs.
        let (child, address) = loud(folder.path(), "1B", targets, Stdio::piped());
        for _ in 0..3 {
            assert!(get_from(&address).ends_with("403 Forbidden"));
        }
        signal(&child, "TERM");
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<serde_json::Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of = |target: &str| lines.iter().filter(|line| line["target"] == target).count();
        assert_eq!(of("guest"), expected, "{targets}");
        let about = lines.iter().find(|line| line["target"] == "weir::guest");
        if targets.contains("weir::guest=off") {
            assert!(about.is_none(), "{about:?}");
            continue;
        }
        let message = about.unwrap()["message"].as_str().unwrap();
        let says = "filter gate logs more than limits.log (1 bytes a second): 1 of its lines are lost";
        assert!(message.starts_with(says), "{message}");
        assert_eq!(of("weir::guest"), 1, "one warning in a while");
    }
}

#[test]
fn an_access_log_that_was_renamed_is_opened_again_on_sighup() {
    let folder = folder(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let (path, old) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let config = format!(
        "listen: {address}\nworkers: 1\nwatch: false\naccess_log: {}\nroutes:\n  - {{ static: {{ status: 204 }} }}\n",
        path.display()
    );
    fs::write(folder.path().join("weir.yaml"), config).unwrap();
    let mut child = command(folder.path(), &["serve", "--config", "weir.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect(&address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it does not serve");
        std::thread::yield_now();
    }
    get_from(&address);
    while fs::read_to_string(&path).unwrap_or_default().lines().count() < 1 {
        std::thread::yield_now();
    }
    fs::rename(&path, &old).unwrap();
    signal(&child, "HUP");
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    get_from(&address);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for file in [&path, &old] {
        assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1, "{file:?}");
    }
}
