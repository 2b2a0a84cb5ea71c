//! Random edits of a guest, of every kind and in any spelling, and the framing of the messages that others get of it.

use std::cell::Cell;
use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use weir_testkit::Origin;
use weir_testkit::client::{Content, Http1, Outcome, Request, Response};

/// Names with rules of their own, and some without.
const NAMES: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "te",
    "trailer",
    "http2-settings",
    ":method",
    ":path",
    ":authority",
    ":scheme",
    ":status",
    ":protocol",
    "content-type",
    "x-plain",
    "cookie",
    "bad name",
    "",
    "x-evil: 1\r\nx-bad",
];

/// Values that such names may have, and some that they may not.
const VALUES: &[&str] = &[
    "0",
    "5",
    "60",
    "+5",
    "5, 6",
    "chunked",
    "gzip, chunked",
    "identity",
    "close",
    "keep-alive",
    "upgrade, http2-settings",
    "content-length, host, x-plain",
    "websocket",
    "h2c",
    "trailers",
    "gzip",
    "other.test",
    "other.test:81",
    "user@other.test",
    "GET",
    "POST",
    "HEAD",
    "CONNECT",
    "PURGE",
    "/edited?body=edited",
    "*",
    "no-path",
    "http",
    "https",
    "200",
    "204",
    "205",
    "304",
    "403",
    "101",
    "999",
    "a\r\nx-evil: 1",
    "plain",
    "",
];

/// A request, and the edits that its filter makes.
#[derive(Clone, Debug)]
pub struct Case {
    method: &'static str,
    query: &'static str,
    chunked: bool,
    /// JSON, as the guest reads it.
    edits: String,
}

fn name() -> impl Strategy<Value = String> {
    (prop::sample::select(NAMES), any::<u32>()).prop_map(|(name, upper)| {
        let spell = |(at, letter): (usize, char)| match upper >> (at % 32) & 1 {
            1 => letter.to_ascii_uppercase(),
            _ => letter,
        };
        name.chars().enumerate().map(spell).collect()
    })
}

fn line() -> impl Strategy<Value = (String, String)> {
    (name(), prop::sample::select(VALUES)).prop_map(|(name, value)| (name, value.to_owned()))
}

fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(line(), 0..5)
}

fn edit() -> impl Strategy<Value = Value> {
    let change = prop_oneof![
        3 => line().prop_map(|line| json!({ "add": line })),
        3 => line().prop_map(|line| json!({ "replace": line })),
        1 => name().prop_map(|name| json!({ "remove": name })),
        4 => lines().prop_map(|lines| json!({ "set_all": lines })),
    ];
    let message = prop::sample::select(&["request", "request_trailers", "response", "response_trailers"][..]);
    let reply = (
        prop::sample::select(&["request", "response"][..]),
        prop::sample::select(&[200, 204, 205, 304, 403, 101][..]),
        prop::sample::select(&["", "reply"][..]),
        lines(),
    );
    prop_oneof![
        8 => (message, change).prop_map(|(message, change)| json!([message, change])),
        1 => reply.prop_map(|(message, status, body, lines)| json!([message, { "reply": (status, body, lines) }])),
        1 => (lines(), lines()).prop_map(|(extra, trailers)| {
            let own = [(":method", "POST"), (":path", "/call"), (":authority", "call.test")];
            let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            json!(["request", { "call": ([own.to_vec(), extra].concat(), trailers) }])
        }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let query = ["", "body=answer", "chunk=an&chunk=swer", "chunk=answer&trailer=x-sum:1", "status=204"];
    (
        prop::sample::select(&["GET", "HEAD", "POST", "PUT", "DELETE"][..]),
        prop::sample::select(query.to_vec()),
        any::<bool>(),
        prop::collection::vec(edit(), 1..5),
    )
        .prop_map(|(method, query, chunked, edits)| Case {
            method,
            query,
            chunked,
            edits: json!(edits).to_string(),
        })
}

/// Sends `cases` random requests through the filter at `address`, each with a plain one behind it on the same connection,
/// and looks at what the origin and the client get.
pub fn hold(address: SocketAddr, origin: &Origin, cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let number = Cell::new(0);
    TestRunner::new(config)
        .run(&case(), |case| {
            number.set(number.get() + 1);
            exchange(address, origin, &case, number.get()).map_err(TestCaseError::fail)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn exchange(address: SocketAddr, origin: &Origin, case: &Case, number: u32) -> Result<(), String> {
    let first = origin.records().len();
    let mut client = Http1::connect(address).map_err(|error| format!("{error:#}"))?;
    let body = matches!(case.method, "POST" | "PUT").then_some("hello").unwrap_or_default();
    let request = Request {
        method: case.method.to_owned(),
        content: match (body, case.chunked) {
            ("", _) => Content::Empty,
            (body, false) => Content::Sized(body.into()),
            (body, true) => Content::Chunks(vec![body.into()]),
        },
        ..Request::get(&format!("/edit?{}", case.query)).header("x-edits", &case.edits)
    };
    let outcome = client.request(&request);
    let outcome = outcome.map_err(|error| format!("no message that can be read: {error:#}"))?;
    let mut goes_on = false;
    if let Outcome::Response(response) = &outcome {
        sound_response(response)?;
        goes_on = !response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
    }
    let text = format!("probe-{number}");
    let path = format!("/probe?body={text}");
    // Bytes that the first request left behind would be read as a part of this one.
    let mut probe = Ok(Outcome::Reset);
    if goes_on {
        probe = client.request(&Request::get(&path));
    }
    if let Ok(Outcome::Reset) = probe {
        // Whoever has answered without the whole body may close.
        client = Http1::connect(address).map_err(|error| format!("{error:#}"))?;
        probe = client.request(&Request::get(&path));
    }
    match probe {
        Ok(Outcome::Response(response)) if response.status == 200 && response.text() == text => {}
        other => return Err(format!("the next request got {other:?} after {outcome:?}")),
    }
    let records = origin.records();
    let new = &records[first..];
    for record in new {
        let (sent, own) = match record.path.as_str() {
            "/call" => ("call", false),
            probe if probe.starts_with("/probe") => ("", true),
            _ => (body, false),
        };
        let wrong = |what: &str| Err(format!("{what}: the origin got {record:?}"));
        let count = |name: &str| record.values(name).len();
        if own && record.path != path {
            return wrong("a request out of step");
        }
        if count("host") != 1 {
            return wrong("not one host");
        }
        if count("content-length") + count("transfer-encoding") > 1 {
            return wrong("framed in two ways");
        }
        if record.values("transfer-encoding").iter().any(|coding| coding != b"chunked") {
            return wrong("a coding of the guest's");
        }
        let named = record.values("connection");
        if named.iter().any(|value| !matches!(value.to_ascii_lowercase().as_slice(), b"te" | b"close" | b"keep-alive")) {
            return wrong("a connection field of the guest's");
        }
        if record.values("te").iter().any(|value| value != b"trailers") {
            return wrong("a te field of the guest's");
        }
        for name in ["keep-alive", "proxy-connection", "upgrade", "http2-settings", "x-evil"] {
            if count(name) > 0 {
                return wrong(name);
            }
        }
        let forbidden = ["host", "content-length", "transfer-encoding", "connection", "te", "x-evil"];
        if record.trailers.iter().any(|(name, _)| forbidden.contains(&name.as_str())) {
            return wrong("a trailer that may not be one");
        }
        if record.body != sent.as_bytes() {
            return wrong("another body than was sent");
        }
    }
    Ok(())
}

/// The client has read the framing; the rest is about fields that no guest may set.
fn sound_response(response: &Response) -> Result<(), String> {
    let count = |name: &str| response.headers.iter().filter(|(known, _)| known == name).count();
    let wrong = |what: &str| Err(format!("{what}: the client got {response:?}"));
    if count("content-length") + count("transfer-encoding") > 1 {
        return wrong("framed in two ways");
    }
    for name in ["upgrade", "proxy-connection", "http2-settings", "x-evil"] {
        if count(name) > 0 {
            return wrong(name);
        }
    }
    let own = |value: &[u8]| matches!(value.to_ascii_lowercase().as_slice(), b"close" | b"keep-alive");
    if response.headers.iter().any(|(name, value)| name == "connection" && !own(value)) {
        return wrong("a connection field of the guest's");
    }
    let forbidden = ["host", "content-length", "transfer-encoding", "connection", "te", "x-evil"];
    if response.trailers.iter().any(|(name, _)| forbidden.contains(&name.as_str())) {
        return wrong("a trailer that may not be one");
    }
    Ok(())
}
