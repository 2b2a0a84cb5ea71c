//! Bodies of any size cost the same memory.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Guests, Origin, Weir};

const GIB: u64 = 1 << 30;

/// The most that the resident memory may grow by.
const GROWTH: u64 = 64 << 20;

fn served() -> (Origin, Weir) {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("body-hash").unwrap();
    let config = Config::new(&origin.url())
        .filter("body-hash", filter("body-hash", &module, "wasmtime"))
        .route("/", &["body-hash"]);
    let weir = Weir::start(config.value()).unwrap();
    // Once through everything, so that what is made at first use is there.
    let warm = Http1::connect(weir.address())
        .unwrap()
        .request(&Request::post("/", vec![b'x'; 1 << 20]))
        .unwrap();
    assert_eq!(warm.response().unwrap().body.len(), 1 << 20);
    (origin, weir)
}

#[test]
fn a_large_upload_streams() {
    let (origin, weir) = served();
    let (before, _) = weir.resident().unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    client
        .send(format!(
            "PUT /large?body=done HTTP/1.1\r\nhost: a\r\ncontent-length: {GIB}\r\n\r\n"
        ))
        .unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..GIB >> 20 {
        client.send(&block).unwrap();
    }
    assert_eq!(client.response("PUT").unwrap().text(), "done");
    let record = origin
        .wait_for(|record| record.path.starts_with("/large"))
        .unwrap();
    assert_eq!(record.length, GIB);
    let (_, most) = weir.resident().unwrap();
    assert!(
        most.saturating_sub(before) < GROWTH,
        "from {before} to {most} bytes"
    );
}

#[test]
fn a_large_download_streams() {
    let (_origin, weir) = served();
    let (before, _) = weir.resident().unwrap();
    let size = GIB / 4;
    let mut client = Http1::connect(weir.address()).unwrap();
    client
        .send(format!(
            "GET /?size={size} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        ))
        .unwrap();
    // The client does not read for as long as the proxy may want to send: what piles up, piles up in the proxy.
    let response = client.response("GET").unwrap();
    assert_eq!(response.body.len() as u64, size);
    let (_, most) = weir.resident().unwrap();
    assert!(
        most.saturating_sub(before) < GROWTH,
        "from {before} to {most} bytes"
    );
}

/// A filter that pauses a request holds back its sender: the bytes stay with the client.
#[test]
fn a_paused_upload_waits_at_the_client() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    let config = Config::new(&origin.url())
        .filter("pause", filter("pause", &module, "wasmtime"))
        .route("/", &["pause"]);
    let weir = Weir::start(config.value()).unwrap();
    let (before, _) = weir.resident().unwrap();
    for callback in ["request_headers", "request_body"] {
        let mut client = TcpStream::connect(weir.address()).unwrap();
        // A write that takes as long as this one means that nobody reads.
        client.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let head = format!(
            "PUT / HTTP/1.1\r\nhost: a\r\nx-misbehave: pause@{callback}\r\ncontent-length: {GIB}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).unwrap();
        let block = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while let Ok(count @ 1..) = client.write(&block) {
            sent += count as u64;
            assert!(
                sent < GROWTH,
                "pause@{callback}: {sent} bytes were read of a request that is paused"
            );
        }
        let (_, most) = weir.resident().unwrap();
        assert!(
            most.saturating_sub(before) < GROWTH,
            "pause@{callback}: from {before} to {most} bytes"
        );
    }
}
