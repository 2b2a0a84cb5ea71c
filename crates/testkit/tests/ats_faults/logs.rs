//! A log that nobody reads, and filters that fill it.

use std::io::{BufRead, BufReader};

use serde_json::json;
use weir_testkit::client::Request;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

use super::*;

/// Lines that the guest logs at each request.
const LINES: usize = 200;

/// Bytes of each.
const LINE: usize = 1000;

fn chatter(folder: &std::path::Path, log: &str) -> serde_json::Value {
    let module = Guests::assemble(folder, "chatter", include_str!("../guests/chatter.wat")).unwrap();
    let mut block = filter("chatter", &module, "wasmtime");
    set(&mut block, "limits.log", json!(log));
    block
}

fn get(ats: &Ats) {
    let outcome = send(ats.address(), Protocol::Http1, &Request::get("/"));
    assert_eq!(status(&outcome), 200, "{outcome:?}");
}

/// The number that a line of the guest begins with.
fn number(line: &str) -> Option<u64> {
    let (_, text) = line.split_once("WARNING: [wasm] ")?;
    let letters = text.get(..16)?.bytes();
    letters
        .map(|letter| {
            letter
                .checked_sub(b'a')
                .filter(|digit| *digit < 16)
                .map(u64::from)
        })
        .try_fold(0, |number, digit| Some(number << 4 | digit?))
}

#[test]
fn a_log_that_nobody_reads_stops_no_request() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // Open, so that the server can open its end, and not read.
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let mut config = AtsConfig::new(origin.address()).filter(chatter(folder.path(), "1GiB"));
    let link = r#"ln -s "$0" "$(dirname "$TS_RUNROOT")/log/diags.log" && exec "$@""#;
    config.wrapper = ["/bin/sh", "-c", link].map(str::to_owned).to_vec();
    config.wrapper.push(pipe.display().to_string());
    // Warnings go to the pipe alone, and hold up whoever writes them; what the server says of itself does not.
    for kind in ["status", "note", "error"] {
        config = config.record(&format!("proxy.config.diags.output.{kind}"), "E");
    }
    let config = config
        .record("proxy.config.diags.output.warning", "L")
        // With debug output 9.2 takes the lock of its log for each debug statement of its own.
        .record("proxy.config.diags.debug.enabled", 0);
    let ats = Ats::start(&config).unwrap();
    // Twice what the buffer and what is being written hold.
    let requests = 2 * 2 * (8 << 20) / (LINES * LINE);
    for _ in 0..requests {
        get(&ats);
    }
    // Once somebody reads, whole lines come in their order, and what is missing is said.
    let (mut last, mut said) = (None, false);
    for line in BufReader::new(reader).lines().map(Result::unwrap) {
        if let Some(number) = number(&line) {
            assert!(last < Some(number), "{last:?} before {number}");
            last = Some(number);
        }
        said = line.contains("[wasm] lines are missing in the log");
        if said {
            break;
        }
    }
    assert!(said && last > Some(0));
    assert!(ats.server().is_alive());
}

#[test]
fn a_filter_logs_no_more_than_it_may() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    // Half of the lines of a request; nothing flows back while the test runs.
    let config = AtsConfig::new(origin.address()).filter(chatter(folder.path(), "1B"));
    let server = Server::start(config);
    get(server.ats());
    get(server.ats());
    let line = |text: &str| {
        let found = server.ats().logs().wait_for(text);
        found.unwrap_or_else(|| panic!("no {text}: {}", server.ats().logs().text()))
    };
    let said = line("filter chatter logs more than limits.log (1 bytes a second)");
    assert_eq!(said.level(), "warn");
    // 64 KiB may be saved up, and each line costs 128 bytes more than its text.
    let kept = (64 << 10) / (LINE + 128);
    let lines = server.ats().logs().lines();
    let numbers: Vec<_> = lines.iter().filter_map(|line| number(&line.text)).collect();
    assert_eq!(numbers, (0..kept as u64).collect::<Vec<_>>());
    server.lives();
}

#[test]
fn a_server_that_ends_writes_its_last_lines() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let config = AtsConfig::new(origin.address()).filter(chatter(folder.path(), "1GiB"));
    let mut ats = Ats::start(&config).unwrap();
    // As much as the buffer holds.
    let requests = (8 << 20) / (LINES * (LINE + 16)) - 1;
    for _ in 0..requests {
        get(&ats);
    }
    ats.stop().unwrap();
    let log = std::fs::read_to_string(ats.server().diags_log()).unwrap();
    let last = log.lines().rev().find_map(number);
    assert_eq!(last, Some((requests * LINES) as u64 - 1));
}
