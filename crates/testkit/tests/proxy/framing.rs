//! Messages that could be read in two ways are refused, and connections are used again.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use weir_testkit::client::{Http1, Outcome, Request};
use weir_testkit::config::Config;
use weir_testkit::{Origin, RawOrigin, Weir};

/// Requests that two servers could read differently.
const AMBIGUOUS: [(&str, &str); 11] = [
    (
        "two lengths",
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    ),
    ("a list of lengths", "content-length: 5, 6\r\n\r\nhello"),
    ("a signed length", "content-length: +5\r\n\r\nhello"),
    ("a negative length", "content-length: -5\r\n\r\nhello"),
    ("a length that is none", "content-length: 5x\r\n\r\nhello"),
    (
        "an unknown coding",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded line", "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a NUL in a value", "x: a\0b\r\ncontent-length: 0\r\n\r\n"),
];

#[test]
fn ambiguous_requests_are_refused() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    let mut wrong = Vec::new();
    for (what, rest) in AMBIGUOUS {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!("POST /s HTTP/1.1\r\nhost: a\r\n{rest}"))
            .unwrap();
        match client.response("POST") {
            // The bytes that follow on the connection would be read in two ways.
            Ok(response) if response.status == 400 && client.is_closed() => {}
            Ok(response) => wrong.push(format!("{what}: {response:?}")),
            Err(error) => wrong.push(format!("{what}: {error:#}")),
        }
    }
    let arrived: Vec<_> = origin
        .records()
        .iter()
        .map(|record| record.path.clone())
        .collect();
    assert!(
        wrong.is_empty() && arrived.is_empty(),
        "{}\narrived: {arrived:?}",
        wrong.join("\n")
    );
}

/// A body whose framing breaks in the middle does not arrive as a whole one.
#[test]
fn a_broken_chunk_ends_the_request() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for broken in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
    ] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!(
                "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{broken}"
            ))
            .unwrap();
        match client.outcome("POST").unwrap() {
            Outcome::Reset => {}
            Outcome::Response(response) => assert_eq!(response.status, 400, "{broken:?}"),
        }
        assert!(client.is_closed());
    }
    assert!(origin.records().is_empty(), "{:?}", origin.records());
}

/// RFC 9112, section 6.3: read by the chunks alone, if at all; the length goes no further, nor does the connection.
#[test]
fn a_length_beside_chunks_goes_no_further() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for head in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
    ] {
        let mut client = Http1::connect(weir.address()).unwrap();
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        client
            .send(format!(
                "POST /s HTTP/1.1\r\nhost: a\r\n{head}\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}"
            ))
            .unwrap();
        let response = client.response("POST").unwrap();
        assert!(matches!(response.status, 200 | 400), "{response:?}");
        assert!(client.is_closed());
    }
    for record in origin.records() {
        assert_eq!(
            (record.path.as_str(), record.body.as_slice()),
            ("/s", &b"hello"[..])
        );
        assert_ne!(record.values("content-length"), [b"3"], "{record:?}");
    }
}

#[test]
fn a_request_names_one_host() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for hosts in ["", "host: a\r\nhost: b\r\n", "host: a b\r\n"] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client.send(format!("GET / HTTP/1.1\r\n{hosts}\r\n")).unwrap();
        assert_eq!(client.response("GET").unwrap().status, 400, "{hosts:?}");
    }
    assert!(origin.records().is_empty(), "{:?}", origin.records());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    let mut all = Vec::new();
    for number in 0..5 {
        // The first takes the longest.
        let delay = (5 - number) * 20;
        all.extend(format!("GET /?body=answer{number}&delay={delay} HTTP/1.1\r\nhost: a\r\n\r\n").bytes());
    }
    all.extend(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nlastGET /?body=end HTTP/1.1\r\nhost: a\r\n\r\n");
    client.send(all).unwrap();
    for number in 0..5 {
        assert_eq!(client.response("GET").unwrap().text(), format!("answer{number}"));
    }
    assert_eq!(client.response("POST").unwrap().text(), "last");
    assert_eq!(client.response("GET").unwrap().text(), "end");
}

#[test]
fn connections_are_kept_alive_on_both_sides() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let origin = RawOrigin::start(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .unwrap();
        }
    });
    let url = format!("http://{}", origin.unwrap().address());
    let weir = Weir::start(Config::new(&url).set("workers", json!(1)).route("/", &[]).value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    for _ in 0..10 {
        assert_eq!(
            client
                .request(&Request::get("/"))
                .unwrap()
                .response()
                .unwrap()
                .text(),
            "ok"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let response = client
        .request(&Request::get("/").header("connection", "close"))
        .unwrap()
        .response()
        .unwrap();
    assert_eq!(response.status, 200);
    assert!(client.is_closed());
}
