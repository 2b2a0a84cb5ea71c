//! The kit of the tests that break things in Traffic Server: a server that says how it is, and clients that go away.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod h2;
mod health;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Http2, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{AtsConfig, Guests, Mode, PATIENCE};

pub use h2::Streams;
pub use health::Server;

/// The protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// The module of an example filter or of another guest.
pub fn module(name: &str) -> PathBuf {
    Guests::build().unwrap().filter(name).unwrap()
}

/// A filter of the guest that does what requests tell it to, for the paths below a prefix.
pub fn misbehaving(name: &str, prefix: &str, open: bool) -> Value {
    let mut block = filter(name, &module("misbehave"), "wasmtime");
    set(&mut block, "match", json!([{ "path_prefix": prefix }]));
    set(&mut block, "fail_open", json!(open));
    set(&mut block, "limits.memory", json!("16MiB"));
    set(&mut block, "ticks", json!("every_vm"));
    block
}

/// A request with a body that brings about every callback of a stream; the guest is told what to do.
pub fn told(protocol: Protocol, path: &str, rules: &str) -> Request {
    let request =
        Request::post(&format!("{path}?chunk=one&chunk=two"), "onetwo").header("x-misbehave", rules);
    match protocol {
        Protocol::Http1 => Request {
            content: Content::Chunks(vec![b"one".to_vec(), b"two".to_vec()]),
            ..request
        },
        // Traffic Server does not show the bodies of HTTP/2 that have no length.
        Protocol::Http2 => request,
    }
}

/// A configuration with so many filters that one line would be too long for Traffic Server.
pub fn with_filters(mut config: AtsConfig, mode: Mode, filters: Vec<Value>) -> AtsConfig {
    config.mode = mode;
    if mode == Mode::Remap {
        config.filters = filters;
        return config;
    }
    for filter in filters {
        let file = format!("{}.yaml", filter["name"].as_str().unwrap());
        config = config.filter_file(&file, &filter);
        config.plugin.push(format!("wasm.so {file}"));
    }
    config
}

/// Sends a request on a connection of its own.
pub fn send(address: SocketAddr, protocol: Protocol, request: &Request) -> Outcome {
    let outcome = match protocol {
        Protocol::Http1 => Http1::connect(address).unwrap().request(request),
        Protocol::Http2 => Http2::connect(address).unwrap().request(request),
    };
    outcome.unwrap_or_else(|error| panic!("{protocol:?}: {error:#} after {request:?}"))
}

/// The status of what came; 0 where the stream was broken off.
pub fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Response(response) => response.status,
        Outcome::Reset => 0,
    }
}

/// Returns true if a whole response with this status and text came.
pub fn is(outcome: &Outcome, status: u16, text: &str) -> bool {
    matches!(outcome, Outcome::Response(response) if response.status == status && response.text() == text)
}

/// Waits until something is so; what is not is described by `what`.
pub fn wait_until<T>(mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{}", what());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
