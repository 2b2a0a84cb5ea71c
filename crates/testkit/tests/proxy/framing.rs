//! What could be read in two ways is refused, and connections are used again.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::Config;
use weir_testkit::{Origin, RawOrigin, Weir};

/// Requests that two servers could read differently.
const AMBIGUOUS: [(&str, &str); 14] = [
    (
        "two lengths",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    ),
    (
        "a list of lengths",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 6\r\n\r\nhello",
    ),
    (
        "a signed length",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
    ),
    (
        "a negative length",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\nhello",
    ),
    (
        "a length that is none",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: 5x\r\n\r\nhello",
    ),
    (
        "length and chunks",
        "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded line",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a NUL in a value",
        "GET /s HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    ),
    (
        "a chunk size that is none",
        "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    ),
    ("two hosts", "GET /s HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
];

#[test]
fn ambiguous_requests_are_refused() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    let mut wrong = Vec::new();
    for (what, bytes) in AMBIGUOUS {
        let mut client = Http1::connect(weir.address()).unwrap();
        client.send(bytes).unwrap();
        match client.response("POST") {
            Ok(response) if response.status == 400 => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
        if !client.is_closed() {
            wrong.push(format!("{what}: the connection is used further"));
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
