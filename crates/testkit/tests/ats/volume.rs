//! Bodies of any size cost the same memory.

use std::io::{Read, Write};
use std::net::TcpStream;

use weir_testkit::client::{Http1, Request};
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE};

use crate::{reads, request};

const GIB: u64 = 1 << 30;

/// What the resident memory may grow by.
const GROWTH: u64 = 64 << 20;

fn served() -> (Origin, Ats) {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(reads("reads"))
        // Else the server keeps what a slow client has not taken yet, however much it is.
        .record("proxy.config.http.flow_control.enabled", 1);
    let ats = Ats::start(&config).unwrap();
    // Once through everything, so that what is made at first use is there.
    let warm = request(ats.address(), &Request::post("/", vec![b'x'; 1 << 20]));
    assert_eq!(warm.body.len(), 1 << 20);
    (origin, ats)
}

#[test]
fn a_large_download_streams() {
    let (_origin, ats) = served();
    let (before, _) = ats.server().resident().unwrap();
    let mut client = TcpStream::connect(ats.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET /?size={GIB} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let (mut count, mut last, mut buffer) = (0, Vec::new(), vec![0; 1 << 20]);
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        count += read as u64;
        last.extend_from_slice(&buffer[..read]);
        last.drain(..last.len().saturating_sub(5));
    }
    let log = || ats.logs().text();
    assert!(count > GIB, "{count} bytes\n{}", log());
    assert_eq!(last, b"0\r\n\r\n", "broken off\n{}", log());
    let (_, most) = ats.server().resident().unwrap();
    assert!(
        most.saturating_sub(before) < GROWTH,
        "from {before} to {most} bytes"
    );
}

#[test]
fn a_large_upload_streams() {
    let (origin, ats) = served();
    let (before, _) = ats.server().resident().unwrap();
    let mut client = Http1::connect(ats.address()).unwrap();
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
    let record = origin.wait_for(|record| record.path.starts_with("/large"));
    assert_eq!(record.unwrap().length, GIB);
    let (_, most) = ats.server().resident().unwrap();
    assert!(
        most.saturating_sub(before) < GROWTH,
        "from {before} to {most} bytes"
    );
}
