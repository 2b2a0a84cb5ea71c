//! Filters that hold a stream and never let it go: `limits.stream_deadline`.

use serde_json::json;
use weir_testkit::client::{Content, Outcome, Request};
use weir_testkit::config::set;
use weir_testkit::{AtsConfig, Mode, Origin};

use super::*;

/// The conduct of the guest, the shape of the request, and its outcome where the filter is closed.
const CASES: [(&str, Shape, Closed); 9] = [
    ("pause@request_headers", Shape::Bodies, Closed::Refused),
    ("pause@request_headers", Shape::Head, Closed::Refused),
    ("pause@request_body", Shape::Bodies, Closed::Refused),
    ("pause@response_headers", Shape::Bodies, Closed::Refused),
    ("pause@response_headers", Shape::Head, Closed::Refused),
    ("pause@response_headers", Shape::NoContent, Closed::Refused),
    ("pause@response_body", Shape::Bodies, Closed::Refused),
    // Decisions that have been made stay.
    (
        "reply@request_headers pause@response_headers",
        Shape::Bodies,
        Closed::Replied,
    ),
    (
        "reply@request_body pause@response_headers",
        Shape::Bodies,
        Closed::Replied,
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Both bodies pass through transforms.
    Bodies,
    /// There are none.
    Head,
    /// The origin's answer has none.
    NoContent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Refused,
    Replied,
}

fn request(protocol: Protocol, path: &str, rules: &str, shape: Shape) -> Request {
    match shape {
        Shape::Bodies => told(protocol, path, rules),
        Shape::Head => Request::new("HEAD", path).header("x-misbehave", rules),
        Shape::NoContent => Request {
            content: Content::Empty,
            ..Request::get(&format!("{path}?status=204")).header("x-misbehave", rules)
        },
    }
}

fn is_right(outcome: &Outcome, shape: Shape, closed: Closed, open: bool) -> bool {
    match (closed, open, shape) {
        (Closed::Replied, ..) => is(outcome, 418, "misbehave"),
        (Closed::Refused, false, _) => status(outcome) == 503,
        (_, _, Shape::Bodies) => is(outcome, 200, "onetwo"),
        (_, _, Shape::Head) => is(outcome, 200, ""),
        (_, _, Shape::NoContent) => is(outcome, 204, ""),
    }
}

fn held(mode: Mode, deadline: &str) {
    let origin = Origin::start().unwrap();
    let filters = [true, false].map(|open| {
        let name = if open { "open" } else { "closed" };
        let mut block = misbehaving(name, &format!("/{name}/"), open);
        set(&mut block, "limits.stream_deadline", json!(deadline));
        block
    });
    let mut config = AtsConfig::new(origin.address());
    config.filters = filters.to_vec();
    config.mode = mode;
    let server = Server::start(config);
    let mut clients = Vec::new();
    // At once: one that waits keeps nobody else waiting.
    for protocol in PROTOCOLS {
        for (open, path) in [(true, "/open/"), (false, "/closed/")] {
            for (rules, shape, closed) in CASES {
                let address = server.ats().address();
                clients.push(std::thread::spawn(move || {
                    let outcome = send(address, protocol, &request(protocol, path, rules, shape));
                    let right = is_right(&outcome, shape, closed, open);
                    (!right).then(|| format!("{protocol:?} {path} {rules} {shape:?}: {outcome:?}"))
                }));
            }
        }
    }
    let count = clients.len();
    let wrong: Vec<_> = clients
        .into_iter()
        .filter_map(|client| client.join().unwrap())
        .collect();
    assert!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        server.ats().logs().text()
    );
    server.settles();
    wait_until(
        || (server.stat("wasm.weir.stream_deadlines") == count as i64).then_some(()),
        || {
            format!(
                "not every one of {count} streams was given up:\n{}",
                server.ats().logs().text()
            )
        },
    );
    assert_eq!(
        server.stat("wasm.weir.vm_died"),
        0,
        "to wait too long is no crime"
    );
}

#[test]
fn streams_held_too_long_by_plugin_config_end() {
    held(Mode::Global, "300ms");
}

#[test]
fn streams_held_too_long_by_a_remap_rule_end() {
    held(Mode::Remap, "300ms");
}

/// Less than the server's clock can tell.
#[test]
fn deadlines_may_be_tiny() {
    held(Mode::Global, "1us");
}
