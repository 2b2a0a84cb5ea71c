//! Streams on which one side does not read: they cost themselves, and nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Request};
use weir_testkit::config::Config;
use weir_testkit::{PATIENCE, RawOrigin, Weir, blackhole};

use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, encode};

const OK: &[u8] = &[0x88];

fn http2(origin: &RawOrigin) -> Value {
    json!({ "endpoints": [origin.address().to_string()], "protocol": "http2" })
}

/// A client sends an upload that nobody reads in small pieces, and another request.
#[test]
fn small_frames_of_a_stalled_upload_stop_nobody() {
    let silent = blackhole().unwrap();
    let config = Config::new(&format!("http://{}", silent.local_addr().unwrap()))
        .route_with("/echo", json!({ "upstream": "echo" }))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    let mut client = Frames::connect(weir.address(), 65_535);
    // More streams than half a connection's window has room for, if each small frame of each cost 251 bytes.
    for stream in [1, 3, 5, 7] {
        client.request("POST", "/upload", stream, false);
        let burst: Vec<u8> = (0..3000)
            .flat_map(|_| encode(DATA, 0, stream, b"line\n"))
            .collect();
        client.0.write_all(&burst).unwrap();
    }
    client.request("GET", "/echo", 9, true);
    assert_eq!(client.status(9), Ok(200));
}

/// An origin sends many short lines to a client that does not read; others have their answers.
#[test]
fn small_frames_of_a_stalled_response_stop_nobody() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let origin = RawOrigin::start(move |stream| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut frames = Frames::accept(stream);
        frames.settings(3, 100);
        let mut first = true;
        while let Some(frame) = frames.next() {
            if frame.kind != HEADERS {
                continue;
            }
            if std::mem::take(&mut first) {
                frames.send(HEADERS, END_HEADERS, frame.stream, OK);
                for _ in 0..12_000 {
                    frames.send(DATA, 0, frame.stream, b"one of 12,000 lines\n");
                }
            } else {
                frames.send(HEADERS, END_HEADERS | END_STREAM, frame.stream, OK);
            }
        }
    })
    .unwrap();
    let config = Config::new("http://127.0.0.1:1")
        .set("upstreams.h2", http2(&origin))
        .set("workers", json!(1))
        .route_with("/", json!({ "upstream": "h2" }));
    let weir = Weir::start(config.value()).unwrap();
    // Its streams have no window at all.
    let mut client = Frames::connect(weir.address(), 0);
    client.request("GET", "/events", 1, true);
    assert_eq!(client.status(1), Ok(200));
    for _ in 0..20 {
        let mut other = Http1::connect(weir.address()).unwrap();
        let outcome = other.request(&Request::get("/")).unwrap();
        assert_eq!(outcome.response().unwrap().status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// As many large responses as a connection's window would hold, if it were as small as libraries have it.
#[test]
fn responses_that_are_not_read_leave_the_connection_to_others() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let origin = RawOrigin::start(move |stream| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut frames = Frames::accept(stream);
        frames.settings(3, 100);
        while let Some(frame) = frames.next() {
            if frame.kind != HEADERS {
                continue;
            }
            frames.send(HEADERS, END_HEADERS, frame.stream, OK);
            // All that fits into a stream's window before more of it is given.
            for _ in 0..15 {
                frames.send(DATA, 0, frame.stream, &[b'y'; 16 << 10]);
            }
        }
    })
    .unwrap();
    let config = Config::new("http://127.0.0.1:1")
        .set("upstreams.h2", http2(&origin))
        .set("workers", json!(1))
        .route_with("/", json!({ "upstream": "h2" }));
    let weir = Weir::start(config.value()).unwrap();
    let mut client = Frames::connect(weir.address(), 0);
    for index in 0..80 {
        let stream = 2 * index + 1;
        client.request("GET", "/big", stream, true);
        assert_eq!(client.status(stream), Ok(200));
    }
    let mut other = Http1::connect(weir.address()).unwrap();
    other.send("GET /big HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(other.head().unwrap().status, 200);
    other.read_exact(15 << 14).unwrap();
    // Had the connection had less room, it would have been ended for a breach of flow control.
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// A server that takes two streams on a connection gets another connection for the third.
#[test]
fn requests_beyond_a_servers_streams_get_a_connection_of_their_own() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let origin = RawOrigin::start(move |stream| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut frames = Frames::accept(stream);
        frames.settings(3, 2);
        while let Some(frame) = frames.next() {
            if frame.kind == HEADERS {
                // A response without an end.
                frames.send(HEADERS, END_HEADERS, frame.stream, OK);
                frames.send(DATA, 0, frame.stream, b"event");
            }
        }
    })
    .unwrap();
    let config = Config::new("http://127.0.0.1:1")
        .set("upstreams.h2", http2(&origin))
        .set("workers", json!(1))
        .route_with("/", json!({ "upstream": "h2" }));
    let weir = Weir::start(config.value()).unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| Http1::connect(weir.address()).unwrap()).collect();
    // All at once: who waits for the first connection learns from it how many may use it.
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.head().unwrap().status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

/// A client that has sent as much of a large upload as goes anywhere.
fn upload(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n")
        .unwrap();
    // A write that takes as long as this one means that nobody reads.
    client
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let piece = vec![0; 1 << 20];
    while let Ok(1..) = client.write(&piece) {}
    client
}

/// The client leaves an upload of which the origin reads no more.
#[test]
fn an_upload_that_nobody_reads_is_given_up_with_its_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(&format!("http://{}", listener.local_addr().unwrap()))
        .set("timeouts.upstream", json!("1s"))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    drop(upload(weir.address()));
    let (taken, _) = listener.accept().unwrap();
    // A reset, so that the kernel keeps nothing of what was not sent.
    let begun = Instant::now();
    let error = loop {
        match taken.take_error().unwrap() {
            Some(error) => break error.kind(),
            None => assert!(begun.elapsed() < PATIENCE, "the connection stays"),
        }
        thread::park_timeout(Duration::from_millis(20));
    };
    assert_eq!(error, std::io::ErrorKind::ConnectionReset);
}

/// It is the origin that does not read, so it is the origin that was too slow.
#[test]
fn an_upload_that_the_origin_does_not_read_times_out_as_the_origins_fault() {
    for timeouts in [
        json!({ "upstream": "1s" }),
        json!({ "stream_idle": "1s", "upstream": "60s" }),
    ] {
        let silent = blackhole().unwrap();
        let config = Config::new(&format!("http://{}", silent.local_addr().unwrap()))
            .set("timeouts", timeouts.clone())
            .route("/", &[]);
        let weir = Weir::start(config.value()).unwrap();
        let mut client = upload(weir.address());
        let mut status = [0; 12];
        client.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 504", "{timeouts}");
    }
}

/// Answers that come before the request has been read reach the client, though it still sends.
#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let is_over = Arc::new(AtomicBool::new(false));
    let may_leave = Arc::clone(&is_over);
    let origin = RawOrigin::start(move |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n");
        // Reads no more, and stays.
        let until = Instant::now() + PATIENCE;
        while !may_leave.load(Ordering::Relaxed) && Instant::now() < until {
            thread::park_timeout(Duration::from_millis(5));
        }
    })
    .unwrap();
    let config = Config::new(&format!("http://{}", origin.address())).route("/origin", &[]);
    let weir = Weir::start(config.value()).unwrap();
    for (path, size, status) in [
        ("/nowhere", 5_000_000, 404),
        ("/nowhere", 300_000, 404),
        // More than the system takes for an origin that reads nothing.
        ("/origin", 20_000_000, 413),
    ] {
        let mut client = Http1::connect(weir.address()).unwrap();
        let mut request = Request::new("POST", path);
        request.content = Content::Sized(vec![b'z'; size]);
        client.send_request(&request).unwrap();
        let response = client.response("POST").unwrap();
        assert_eq!(
            (response.status, response.header("connection").as_deref()),
            (status, Some("close")),
            "{path} {size}"
        );
        assert!(client.is_closed());
    }
    is_over.store(true, Ordering::Relaxed);
    // What has come as a whole with its head is read, so that the connection goes on.
    let mut client = Http1::connect(weir.address()).unwrap();
    for _ in 0..2 {
        client
            .send("POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nsmall")
            .unwrap();
        let response = client.response("POST").unwrap();
        assert_eq!((response.status, response.header("connection")), (404, None));
    }
}
