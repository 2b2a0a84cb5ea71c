//! Bodies of any size cost the same memory.

use std::io::{Read, Write};
use std::net::TcpStream;

use weir_testkit::client::{Http1, Request};
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE, RawOrigin};

use crate::{reads, request};

const GIB: u64 = 1 << 30;

/// The most that the resident memory may grow by.
const GROWTH: u64 = 64 << 20;

fn served() -> (Origin, Ats) {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address()).filter(reads("reads"));
    let ats = Ats::start(&config).unwrap();
    // Once through everything, so that what is made at first use is there.
    let warm = request(ats.address(), &Request::post("/", vec![b'x'; 1 << 20]));
    assert_eq!(warm.body.len(), 1 << 20);
    (origin, ats)
}

/// Of announced length: the server itself keeps all that it has of a chunked one, and a client that is slower than the
/// origin finds it there.
#[test]
fn a_large_download_streams() {
    let origin = RawOrigin::start(|mut stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            head.extend(byte);
        }
        let size = if head.starts_with(b"GET /large") {
            GIB
        } else {
            1 << 20
        };
        let block = vec![b'x'; 1 << 20];
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
        for _ in 0..size >> 20 {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    })
    .unwrap();
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(reads("reads"))).unwrap();
    let warm = request(ats.address(), &Request::get("/"));
    assert_eq!(warm.body.len(), 1 << 20);
    let (before, _) = ats.server().resident().unwrap();
    let mut client = TcpStream::connect(ats.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
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
