//! A filter that has used its share of the thread (`limits.cpu`), in either proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Guests, LogLine, Logs, Origin, PATIENCE};

const GUEST: &str = include_str!("../guests/background.wat");

/// A filter that is in debt for minutes after its first tick, longer than any test waits.
pub fn document(folder: &Path, origin: &Origin) -> Value {
    let module = Guests::assemble(folder, "background", GUEST).unwrap();
    let mut block = filter("background", &module, "wasmi");
    set(&mut block, "limits.cpu", json!("0.001"));
    // A busy machine lets 90 ms by the clock cost less, never more.
    set(&mut block, "limits.callback_deadline", json!("1s"));
    set(&mut block, "upstreams", json!({ "origin": origin.url() }));
    block
}

/// Checks what is put off, and what is not. `metrics` fetches the page of metrics.
pub fn only_the_background_is_put_off(address: SocketAddr, logs: &Logs, metrics: impl Fn() -> String) {
    let put_off = |count: usize| {
        let line = format!("weir_background_put_off_total{{plugin=\"background\"}} {count}");
        let until = Instant::now() + PATIENCE;
        while !metrics().lines().any(|found| found == line) {
            assert!(
                Instant::now() < until,
                "no {line}:\n{}\n{}",
                metrics(),
                logs.text()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    let logged = |text: &str, lines: &[LogLine]| {
        let is = |line: &&LogLine| line.message().contains(text);
        lines.iter().filter(is).count()
    };
    let answered = |times: usize| {
        let enough = |lines: &[LogLine]| (logged("answered", lines) >= times).then_some(());
        assert!(logs.wait(PATIENCE, enough).is_some(), "{}", logs.text());
        assert_eq!(logged("answered", &logs.lines()), times, "{}", logs.text());
    };
    // Later ticks say nothing that the one which waits does not say.
    put_off(1);
    let warning = logs.wait_for("filter background: ticks, queue wake-ups").unwrap();
    assert!(
        warning.text.contains("`limits.cpu` (0.001 of the thread)"),
        "{}",
        warning.text
    );

    // Callbacks of streams, and the answer that a stream waits for.
    let waits = Request::get("/waits").header("x-call", "1").header("x-wait", "1");
    for request in [&Request::get("/"), &waits] {
        let outcome = Http1::connect(address).unwrap().request(request).unwrap();
        assert_eq!(outcome.response().unwrap().status, 200, "{}", logs.text());
    }
    put_off(1);
    answered(1);

    // An answer that comes before the stream waits for it.
    let mut client = Http1::connect(address).unwrap();
    client
        .send("POST /later HTTP/1.1\r\nhost: test\r\nx-call: 1\r\ncontent-length: 4\r\n\r\n")
        .unwrap();
    put_off(2);
    answered(1);
    client.send("body").unwrap();
    assert_eq!(client.response("POST").unwrap().status, 200, "{}", logs.text());
    answered(2);
    assert_eq!(logged("ticked", &logs.lines()), 1, "{}", logs.text());
}
