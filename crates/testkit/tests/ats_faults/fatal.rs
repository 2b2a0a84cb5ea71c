//! The ends of a VM, in each callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use weir_testkit::client::{Http1, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{AtsConfig, LogLine, Mode, Origin, PATIENCE};

use super::*;

const FATAL: [&str; 5] = ["panic", "loop", "memory", "stack", "exit"];

/// Callbacks, and how the request is made in which they are to fail.
const CALLBACKS: [(&str, Shape); 9] = [
    ("request_headers", Shape::Bodies),
    ("request_body", Shape::Bodies),
    ("response_headers", Shape::Bodies),
    ("response_headers", Shape::Head),
    ("response_body", Shape::Bodies),
    ("done", Shape::Bodies),
    ("log", Shape::Bodies),
    ("delete", Shape::Bodies),
    ("tick", Shape::Bodies),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Both bodies pass through transforms.
    Bodies,
    /// There are no bodies, and so no transforms.
    Head,
}

struct Case {
    name: String,
    behaviour: &'static str,
    callback: &'static str,
    shape: Shape,
    protocol: Protocol,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for protocol in PROTOCOLS {
            for behaviour in FATAL {
                for (callback, shape) in CALLBACKS {
                    cases.push(Self {
                        name: format!("{behaviour}-{callback}-{shape:?}-{protocol:?}"),
                        behaviour,
                        callback,
                        shape,
                        protocol,
                    });
                }
            }
        }
        cases
    }

    fn path(&self) -> String {
        format!("/{}/", self.name)
    }

    fn request(&self) -> Request {
        let mut request = told(
            self.protocol,
            &self.path(),
            &format!("{}@{}", self.behaviour, self.callback),
        );
        if self.shape == Shape::Head {
            request = Request {
                method: "HEAD".to_owned(),
                content: weir_testkit::client::Content::Empty,
                ..request
            };
        }
        request
    }

    fn is_right(&self, outcome: &Outcome, open: bool) -> bool {
        let whole = match self.shape {
            Shape::Bodies => is(outcome, 200, "onetwo"),
            Shape::Head => is(outcome, 200, ""),
        };
        let refused = status(outcome) == 503;
        match self.callback {
            _ if open => whole,
            "request_headers" | "request_body" | "response_headers" => refused,
            // Bytes that have been sent stay sent; the rest is broken off.
            "response_body" => refused || *outcome == Outcome::Reset,
            // The VM may die before or after the stream has ended.
            "tick" => whole || refused || *outcome == Outcome::Reset,
            _ => whole,
        }
    }
}

/// Clients of a filter that does nothing wrong, and of none; whatever else happens, they are served.
fn bystanders(server: &Server, end: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<usize>> {
    let served = ["/healthy/", "/plain/"].map(|path| {
        let (address, end) = (server.ats().address(), Arc::clone(end));
        std::thread::spawn(move || {
            let mut count = 0;
            let mut client = Http1::connect(address).unwrap();
            while !end.load(Ordering::SeqCst) {
                let request = Request::post(&format!("{path}?chunk=one&chunk=two"), "hello");
                let outcome = client.request(&request).unwrap();
                assert!(is(&outcome, 200, "onetwo"), "{outcome:?}");
                count += 1;
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
            count
        })
    });
    served.into()
}

fn every(mode: Mode, open: bool) {
    let origin = Origin::start().unwrap();
    let cases = Case::all();
    let mut healthy = filter("healthy", &module("body-hash"), "wasmtime");
    set(&mut healthy, "match", json!([{ "path_prefix": "/healthy/" }]));
    let mut filters = vec![healthy];
    filters.extend(
        cases
            .iter()
            .map(|case| misbehaving(&case.name, &case.path(), open)),
    );
    let server = Server::start(with_filters(AtsConfig::new(origin.address()), mode, filters));
    let end = Arc::new(AtomicBool::new(false));
    let bystanders = bystanders(&server, &end);
    let mut wrong = Vec::new();
    for case in &cases {
        let outcome = send(server.ats().address(), case.protocol, &case.request());
        if !case.is_right(&outcome, open) {
            wrong.push(format!("{}: {outcome:?}", case.name));
        }
    }
    let log = || server.ats().logs().text();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), log());
    // All of them have died, and all come back.
    for line in ["restarting the VM", "VM restarted"] {
        let found = server.ats().logs().wait(PATIENCE, |lines| {
            let count = lines
                .iter()
                .filter(|of: &&LogLine| of.message().contains(line))
                .count();
            (count >= cases.len()).then_some(())
        });
        assert!(found.is_some(), "not all of {}: {line}:\n{}", cases.len(), log());
    }
    for case in &cases {
        let outcome = send(
            server.ats().address(),
            case.protocol,
            &told(case.protocol, &case.path(), ""),
        );
        assert!(is(&outcome, 200, "onetwo"), "{}: {outcome:?}", case.name);
    }
    end.store(true, Ordering::SeqCst);
    for bystander in bystanders {
        assert!(bystander.join().unwrap() > 0);
    }
    server.lives();
}

#[test]
fn deaths_in_plugin_config_fail_closed() {
    every(Mode::Global, false);
}

#[test]
fn deaths_in_plugin_config_fail_open() {
    every(Mode::Global, true);
}

#[test]
fn deaths_in_a_remap_rule_fail_closed() {
    every(Mode::Remap, false);
}

#[test]
fn deaths_in_a_remap_rule_fail_open() {
    every(Mode::Remap, true);
}

#[test]
fn the_line_about_a_death_names_the_route_and_the_limit() {
    for (mode, route) in [(Mode::Global, "plugin.config"), (Mode::Remap, "http:///")] {
        let origin = Origin::start().unwrap();
        let mut config = AtsConfig::new(origin.address());
        config.filters = vec![misbehaving("busy", "/busy/", false)];
        config.mode = mode;
        let server = Server::start(config);
        let request = told(Protocol::Http1, "/busy/", "loop@request_headers");
        let outcome = send(server.ats().address(), Protocol::Http1, &request);
        assert_eq!(status(&outcome), 503, "{outcome:?}");
        let line = server.ats().logs().wait(PATIENCE, |lines| {
            let died = |line: &&LogLine| line.message().contains("the VM has died");
            lines.iter().find(died).map(|line| line.message().to_owned())
        });
        let line = line.unwrap_or_else(|| panic!("no line:\n{}", server.ats().logs().text()));
        for part in [
            format!("filter busy: route {route}: module "),
            "proxy_on_request_headers trapped: CPU time exceeded (at least ".to_owned(),
            "limits.callback_deadline is 500 ms)".to_owned(),
        ] {
            assert!(line.contains(&part), "{part:?} in {line}");
        }
    }
}
