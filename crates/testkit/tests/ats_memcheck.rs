//! The plugin in Traffic Server under valgrind: `cargo xtask memcheck-ats` runs this, and shows what it prints.
#![allow(clippy::unwrap_used)]

mod ats_kit;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ats_kit::*;
use serde_json::{Value, json};
use weir_ats_server::{AtsServer, Settings, plugin_library};
use weir_testkit::Origin;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};

/// The number of times that everything is done.
const ROUNDS: usize = 25;

/// Everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(600);

const VALGRIND: [&str; 10] = [
    "valgrind",
    "--tool=memcheck",
    // Code is made while the process runs, by Wasmtime.
    "--smc-check=all-non-file",
    "--leak-check=full",
    "--show-leak-kinds=all",
    "--num-callers=50",
    "--error-limit=no",
    "--fair-sched=yes",
    "--vgdb=no",
    "--xml=yes",
];

/// The conduct of the filters.
const RULES: [&str; 9] = [
    "",
    "hold@request_headers",
    "hold_call@request_headers",
    "hold@request_body",
    "hold_call@response_headers",
    "hold@response_body",
    "reply@request_headers",
    "reply@request_body",
    "reply@response_headers",
];

fn filters(calls: &Origin) -> Vec<Value> {
    let mut misbehave = misbehaving("misbehave", "/", false);
    set(&mut misbehave, "configuration", json!("upstream=calls"));
    set(&mut misbehave, "upstreams.calls", json!(calls.url()));
    // Wasmtime sets whole memories aside for its VMs, and valgrind has not so many addresses.
    let mut adds = filter("adds", &module("header-rewrite"), "wasmtime");
    set(
        &mut adds,
        "configuration",
        json!({ "request": { "set": { "x-a": "1" } }, "response": { "set": { "x-b": "1" } } }),
    );
    // So slow a machine must not look like a guest that does not return.
    for block in [&mut misbehave, &mut adds] {
        set(block, "limits.callback_deadline", json!("60s"));
        set(block, "limits.start_deadline", json!("600s"));
    }
    vec![adds, misbehave]
}

fn start(origin: &Origin, calls: &Origin, report: &Path) -> AtsServer {
    let filters = filters(calls);
    let names: Vec<String> = filters
        .iter()
        .map(|block| format!("{}.yaml", block["name"].as_str().unwrap()))
        .collect();
    let mut settings = Settings::new()
        .module("wasm.so", plugin_library().unwrap())
        .plugin(format!("wasm.so {}", names.join(" ")))
        .origin(origin.address())
        .debug_tags(None)
        .patience(PATIENCE)
        .wrapper(
            VALGRIND
                .map(str::to_owned)
                .into_iter()
                .chain([format!("--xml-file={}", report.display())]),
        );
    for (name, block) in names.iter().zip(&filters) {
        settings = settings.file(name, json!({ "config": block }).to_string());
    }
    AtsServer::start(&settings).unwrap()
}

/// Some transactions of each kind; gives how many.
fn round(address: SocketAddr) -> usize {
    let mut count = 0;
    for protocol in PROTOCOLS {
        for rules in RULES {
            let outcome = send(address, protocol, &told(protocol, "/", rules));
            assert!(
                matches!(status(&outcome), 200 | 418),
                "{protocol:?} {rules}: {outcome:?}"
            );
            let get = Request::get("/cached?header=cache-control:max-age=600").header("x-misbehave", rules);
            assert!(matches!(status(&send(address, protocol, &get)), 200 | 418));
            count += 2;
        }
    }
    for rules in RULES {
        // One that leaves.
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\nx-misbehave: {rules}\r\ncontent-length: 6\r\n\r\none");
        Http1::connect(address).unwrap().send(head).unwrap();
        count += 1;
    }
    count
}

/// The findings of valgrind: each kind of error that has a frame of the plugin, its first such frames, and how many blocks.
fn findings(report: &str) -> Vec<(String, u64, String)> {
    let text = |part: &str, tag: &str| {
        let rest = part.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    let mut counts = BTreeMap::new();
    for pair in report.split("<pair>").skip(1) {
        let key = (
            text(pair, "unique"),
            text(pair, "count").and_then(|count| count.parse::<u64>().ok()),
        );
        if let (Some(unique), Some(count)) = key {
            *counts.entry(unique).or_insert(0) += count;
        }
    }
    let errors = report
        .split("<error>")
        .skip(1)
        .filter_map(|part| part.split_once("</error>"));
    errors
        .filter_map(|(error, _)| {
            let frames = error.split("<frame>").skip(1);
            let ours: Vec<String> = frames
                .filter(|frame| text(frame, "obj").is_some_and(|obj| obj.ends_with("wasm.so")))
                .filter_map(|frame| text(frame, "fn"))
                .collect();
            let kind = text(error, "kind").unwrap_or_default();
            let blocks = text(error, "leakedblocks").and_then(|blocks| blocks.parse().ok());
            let times = text(error, "unique").and_then(|unique| counts.get(&unique).copied());
            let count = blocks.or(times).unwrap_or(1);
            // A block that can still be reached may be meant to stay; but not one that belongs to a transaction, of which a
            // single block is one that the next will use again.
            let stays = kind.starts_with("Leak_")
                && kind != "Leak_DefinitelyLost"
                && (count == 1 || !ours.iter().any(|name| name.contains("wasm::txn")));
            let first = ours.iter().take(12).cloned().collect::<Vec<_>>().join("\n      ");
            (!ours.is_empty() && !stays).then_some((kind, count, first))
        })
        .collect()
}

#[test]
#[ignore = "takes minutes and valgrind: cargo xtask memcheck-ats"]
fn no_error_and_no_leak_by_transaction() {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("valgrind.xml");
    let mut server = start(&origin, &calls, &report);
    let rounds = std::panic::catch_unwind(|| (0..ROUNDS).map(|_| round(server.http())).sum::<usize>());
    let transactions = rounds.unwrap_or_else(|_| {
        let found = std::fs::read_to_string(&report).unwrap_or_default();
        panic!("the server says:\n{}\nand valgrind:\n{found}", server.log_text())
    });
    // Streams that are still held are let go.
    std::thread::park_timeout(Duration::from_secs(5));
    assert!(TcpStream::connect(server.http()).is_ok());
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", server.pid())])
        .status();
    assert!(kill.unwrap().success());
    server.wait().unwrap();
    let report = std::fs::read_to_string(&report).unwrap();
    let lost = report.matches("<kind>Leak_DefinitelyLost").count();
    let errors = report.matches("<error>").count() - report.matches("<kind>Leak_").count();
    let findings = findings(&report);
    println!(
        "{transactions} transactions; in the process {errors} errors and {lost} places that lose memory; of the plugin {}:",
        findings.len()
    );
    for (kind, count, frames) in &findings {
        println!("  {kind} ({count})\n      {frames}");
    }
    assert!(
        report.contains("<status>") && report.contains("FINISHED"),
        "valgrind has not finished"
    );
    for (kind, count, frames) in findings {
        let leak = kind.starts_with("Leak_");
        assert!(
            leak && count < transactions as u64 / ROUNDS as u64,
            "{kind} ({count}): {frames}"
        );
    }
}
