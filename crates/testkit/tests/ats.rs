//! The plugin in a real Traffic Server: what the conformance cases do not say.
#![allow(clippy::unwrap_used)]

#[path = "ats/admin.rs"]
mod admin;
#[path = "ats/answers.rs"]
mod answers;
mod background;
#[path = "ats/cache.rs"]
mod cache;
#[path = "ats/clients.rs"]
mod clients;
#[path = "ats/compiling.rs"]
mod compiling;
mod edits;
#[path = "ats/edits.rs"]
mod edits_of_guests;
#[path = "ats/fields.rs"]
mod fields;
#[path = "ats/lines.rs"]
mod lines;
#[path = "ats/loading.rs"]
mod loading;
#[path = "ats/mapping.rs"]
mod mapping;
#[path = "ats/memory.rs"]
mod memory;
#[path = "ats/origins.rs"]
mod origins;
#[path = "ats/reload.rs"]
mod reload;
#[path = "ats/rules.rs"]
mod rules;
#[path = "ats/snapshot.rs"]
mod snapshot;
#[path = "ats/storing.rs"]
mod storing;
#[path = "ats/ticks.rs"]
mod ticks;
#[path = "ats/volume.rs"]
mod volume;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, Guests};

/// The module of an example filter or of another guest.
fn module(name: &str) -> PathBuf {
    Guests::build().unwrap().filter(name).unwrap()
}

/// A filter that adds a header to responses.
fn adds(name: &str, header: &str, value: &str) -> Value {
    let mut block = filter(name, &module("header-rewrite"), "wasmtime");
    set(
        &mut block,
        "configuration",
        json!({ "response": { "add": { header: [value] } } }),
    );
    block
}

/// A filter that reads all bodies and changes none.
fn reads(name: &str) -> Value {
    filter(name, &module("body-hash"), "wasmtime")
}

/// A filter that does to each request and response what `edits` says; see the guest `editor`.
fn edits(name: &str, edits: Value) -> Value {
    let mut block = filter(name, &module("editor"), "wasmtime");
    set(&mut block, "configuration", edits);
    block
}

/// A filter that waits for the whole body, appends its name to it in angle brackets, and adds a header of its name.
fn appends(name: &str) -> Value {
    let edits_of = json!([
        ["response", { "add": [format!("x-{name}"), "1"] }],
        ["response", "hold"],
        ["response", { "append": format!("<{name}>") }],
    ]);
    edits(name, edits_of)
}

/// A filter that replaces a word in text.
fn rewrites(name: &str) -> Value {
    let mut block = filter(name, &module("body-rewrite"), "wasmtime");
    let replacements = json!([{ "find": "hedgehog", "replace": "porcupine" }]);
    set(
        &mut block,
        "configuration",
        json!({ "replacements": replacements }),
    );
    block
}

fn request(address: SocketAddr, request: &Request) -> Response {
    let outcome = Http1::connect(address).unwrap().request(request).unwrap();
    outcome.response().unwrap()
}

fn get(ats: &Ats, path: &str) -> Response {
    request(ats.address(), &Request::get(path))
}

/// The values of a header, as text.
fn values(response: &Response, name: &str) -> Vec<String> {
    let values = response.values(name).into_iter();
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// The server lives, and serves a path with success.
fn serves(ats: &Ats, path: &str) {
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
    assert_eq!(get(ats, path).status, 200, "{}", ats.logs().text());
}
