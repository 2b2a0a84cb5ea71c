//! Messages at the edges of what HTTP allows: passed on as they are, mended, or refused.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use weir_testkit::client::{Http1, Http2, Request};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Origin, RawOrigin, Weir};

use crate::frames::{DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS};
use crate::guest;

/// An origin that gives each connection one answer, and tells what it was sent.
fn one_answer(answer: impl Into<Vec<u8>>) -> RawOrigin {
    let answer = answer.into();
    RawOrigin::start(move |mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&answer);
    })
    .unwrap()
}

fn through(origin: &RawOrigin) -> Weir {
    let config = Config::new(&format!("http://{}", origin.address()))
        .set(
            "limits",
            json!({ "header_bytes": "256KiB", "header_count": 1000 }),
        )
        .route("/", &[]);
    Weir::start(config.value()).unwrap()
}

/// The first line of a response, and its status where there is one.
fn first_line(weir: &Weir) -> String {
    let mut client = Http1::connect(weir.address()).unwrap();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(client.read_exact(1).unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[test]
fn large_and_untidy_heads_of_responses_pass_within_the_limits() {
    let many: String = (0..300).map(|index| format!("x-{index}: 1\r\n")).collect();
    let long = "v".repeat(40_000);
    for (head, status) in [
        (format!("{many}x-long: {long}\r\n"), "HTTP/1.1 200 OK"),
        ("x-old : 1\r\n".to_owned(), "HTTP/1.1 200 OK"),
        (
            "transfer-encoding: gzip, chunked\r\n".to_owned(),
            "HTTP/1.1 502 Bad Gateway",
        ),
    ] {
        let end = if head.contains("chunked") { "0\r\n\r\n" } else { "" };
        let length = if head.contains("chunked") {
            ""
        } else {
            "content-length: 0\r\n"
        };
        let origin = one_answer(format!("HTTP/1.1 200 OK\r\n{head}{length}\r\n{end}"));
        assert_eq!(first_line(&through(&origin)), status, "{:.40}", head);
    }
}

#[test]
fn large_heads_of_http2_pass_within_the_limits() {
    let origin = RawOrigin::start(|stream| {
        let mut frames = Frames::accept(stream);
        frames.settings(3, 100);
        while let Some(frame) = frames.next() {
            if frame.kind == HEADERS {
                // Two fields of 12,000 bytes, neither indexed.
                let mut block = vec![0x88];
                for name in [b'a', b'b'] {
                    block.extend([0, 3, b'x', b'-', name, 0x7f, 0xe1, 0x5c]);
                    block.extend([b'v'; 12_000]);
                }
                for (index, part) in block.chunks(16 << 10).enumerate() {
                    let last = (index + 1) << 14 >= block.len();
                    let kind = if index == 0 { HEADERS } else { 9 };
                    let mut flags = if last { END_HEADERS } else { 0 };
                    if index == 0 {
                        flags |= END_STREAM;
                    }
                    frames.send(kind, flags, frame.stream, part);
                }
            }
        }
    })
    .unwrap();
    let config = Config::new("http://127.0.0.1:1")
        .set(
            "upstreams.h2",
            json!({ "endpoints": [origin.address().to_string()], "protocol": "http2" }),
        )
        .route_with("/", json!({ "upstream": "h2" }));
    let weir = Weir::start(config.value()).unwrap();
    let outcome = Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap();
    let response = outcome.response().unwrap();
    assert_eq!(
        (
            response.status,
            response.values("x-b").first().map(|value| value.len())
        ),
        (200, Some(12_000))
    );
}

#[test]
fn reason_phrases_are_the_origins_or_at_least_none_of_the_librarys() {
    for (line, expected) in [
        (
            "520 Web Server Is Returning an Unknown Error",
            "520 Web Server Is Returning an Unknown Error",
        ),
        ("404 No Such Tenant", "404 No Such Tenant"),
        ("200 OK", "200 OK"),
    ] {
        let origin = one_answer(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(first_line(&through(&origin)), format!("HTTP/1.1 {expected}"));
    }
    let config = Config::new("http://127.0.0.1:1").value().clone();
    let mut config = config;
    config["routes"] = json!([{ "static": { "status": 299 } }]);
    assert_eq!(first_line(&Weir::start(&config).unwrap()), "HTTP/1.1 299 Unknown");
}

/// A goodbye names the last stream that was looked at: what is above it has not been, a POST with a body neither.
#[test]
fn requests_above_a_goodbye_are_sent_again_whatever_they_are() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let origin = RawOrigin::start(move |stream| {
        let first = count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        let mut frames = Frames::accept(stream);
        frames.settings(3, 100);
        let mut body = Vec::new();
        while let Some(frame) = frames.next() {
            if frame.kind == DATA {
                body.extend(frame.payload);
            }
            let ends = frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA);
            if ends && first {
                // Nothing has been looked at.
                frames.send(GOAWAY, 0, 0, &[0; 8]);
                continue;
            }
            if ends {
                frames.send(HEADERS, END_HEADERS, frame.stream, &[0x88]);
                frames.send(DATA, END_STREAM, frame.stream, &body);
            }
        }
    })
    .unwrap();
    let config = Config::new("http://127.0.0.1:1")
        .set("workers", json!(1))
        .set(
            "upstreams.h2",
            json!({ "endpoints": [origin.address().to_string()], "protocol": "http2" }),
        )
        .route_with("/", json!({ "upstream": "h2" }));
    for (request, expected) in [
        (Request::get("/"), ""),
        (Request::post("/", ""), ""),
        (Request::post("/", "the body"), "the body"),
    ] {
        let weir = Weir::start(config.value()).unwrap();
        let outcome = Http1::connect(weir.address()).unwrap().request(&request).unwrap();
        let response = outcome.response().unwrap();
        assert_eq!((response.status, response.text()), (200, expected.to_owned()));
    }
}

/// The target of a request is the resource that it asks for; a host that is empty stays so.
#[test]
fn hosts_are_never_the_endpoints() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for (head, host) in [
        (
            "GET http://target.test/1 HTTP/1.1\r\nhost: other.test\r\n\r\n",
            "target.test",
        ),
        ("GET /2 HTTP/1.1\r\nhost:\r\n\r\n", ""),
        ("GET /3 HTTP/1.0\r\n\r\n", ""),
    ] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client.send(head).unwrap();
        let line = client.read_exact(12).unwrap();
        assert!(line.ends_with(b" 200"), "{head}");
        let record = origin.records().pop().unwrap();
        assert_eq!(record.values("host"), [host.as_bytes()], "{head}");
    }
}

#[test]
fn a_malformed_chunk_is_a_bad_request() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for broken in ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloworld\r\n0\r\n\r\n"] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{broken}"
            ))
            .unwrap();
        assert_eq!(client.response("POST").unwrap().status, 400, "{broken}");
    }
}

/// HEAD does not state the length of a body that a filter may change.
#[test]
fn head_says_no_length_that_get_would_not() {
    let origin = Origin::start().unwrap();
    let config = Config::new(&origin.url())
        .filter(
            "seen",
            filter("seen", &guest("response_body_accumulates"), "wasmtime"),
        )
        .route("/plain", &[])
        .route("/", &["seen"]);
    let weir = Weir::start(config.value()).unwrap();
    for (path, length) in [("/plain?body=hello", Some("5")), ("/?body=hello", None)] {
        for http2 in [false, true] {
            let request = Request::new("HEAD", path);
            let outcome = if http2 {
                Http2::connect(weir.address()).unwrap().request(&request)
            } else {
                Http1::connect(weir.address()).unwrap().request(&request)
            };
            let response = outcome.unwrap().response().unwrap();
            assert_eq!(
                response.header("content-length").as_deref(),
                length,
                "{path} {http2}"
            );
        }
    }
}

/// What is refused before it can be read as a request has a line in the access log.
#[test]
fn malformed_heads_are_in_the_access_log() {
    let weir = Weir::start(Config::new("http://127.0.0.1:1").route("/", &[]).value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    client.send("GET / HTTP/4.0\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(client.response("GET").unwrap().status, 400);
    let line = weir.access_log().wait_for("malformed_request");
    assert!(line.is_some(), "{}", weir.access_log().text());
}

/// Targets that RFC 3986 does not allow reach the filters as they were written, so that a firewall answers them, and the
/// origin percent-encoded, on a connection that goes on.
#[test]
fn untidy_targets_reach_filters_as_written_and_origins_encoded() {
    let origin = Origin::start().unwrap();
    let config = Config::new(&origin.url())
        .filter("show", filter("show", &guest("get_header_map_value"), "wasmtime"))
        .route("/show", &["show"])
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    for (written, shown, sent) in [
        (
            "/?q=<script>alert(\"1\")`",
            "/?q=<script>alert(\\\"1\\\")`",
            "/?q=%3Cscript%3Ealert(%221%22)%60",
        ),
        ("/<b>\"`", "/<b>\\\"`", "/%3Cb%3E%22%60"),
        (
            "/caf\u{e9}?\u{e9}",
            "/caf\\xc3\\xa9?\\xc3\\xa9",
            "/caf%C3%A9?%C3%A9",
        ),
    ] {
        client
            .send(format!(
                "POST {written} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n\"<body>`\u{e9}"
            ))
            .unwrap();
        assert_eq!(client.response("POST").unwrap().status, 200, "{written}");
        let record = origin.records().pop().unwrap();
        assert_eq!(record.path, sent);
        assert_eq!(record.body, "\"<body>`\u{e9}".as_bytes(), "{written}");
        client
            .send(format!("GET /show{written} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .unwrap();
        let response = client.response("GET").unwrap();
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(
            body.contains(&format!(":path -> Ok \"/show{shown}\"")),
            "{written}: {body}"
        );
    }
    // Bytes that are not UTF-8, in one burst.
    let burst = b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\nGET /\"?\xfe HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
    client.send(burst).unwrap();
    for sent in ["/%FF", "/%22?%FE"] {
        assert_eq!(client.response("GET").unwrap().status, 200);
        assert!(
            origin.records().iter().any(|record| record.path == sent),
            "{sent}"
        );
    }
}

/// A fragment is never sent by a client that knows what it does: cut off, it would let two readers see two targets.
#[test]
fn fragments_are_bad_requests() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    for target in ["/#x", "/?a#x", "http://a/#x", "/a%23#"] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .unwrap();
        assert_eq!(client.response("GET").unwrap().status, 400, "{target}");
    }
    let line = weir.access_log().wait_for("/a%23#");
    assert!(line.is_some(), "{}", weir.access_log().text());
    assert!(origin.records().is_empty());
}

/// Of a header block of HTTP/2 that is too long, or that has white space around a value, its stream alone has the fault.
#[test]
fn bad_header_blocks_of_http2_end_their_stream_alone() {
    let origin = Origin::start().unwrap();
    let weir = Weir::start(Config::new(&origin.url()).route("/", &[]).value()).unwrap();
    let mut client = Http2::connect(weir.address()).unwrap();
    let long = "v".repeat(200_000);
    for (value, status) in [(long.as_str(), 431), (" v", 400), ("v\t", 400), ("v", 200)] {
        let outcome = client.request(&Request::get("/").header("x-long", value));
        assert_eq!(outcome.unwrap().response().unwrap().status, status, "{value:.9}");
    }
}
