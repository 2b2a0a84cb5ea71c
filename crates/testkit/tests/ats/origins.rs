//! Origins that fail: the client gets what Traffic Server makes of it, the filters see it once, the server lives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use weir_testkit::client::{Http1, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Mode, Origin, RawOrigin, blackhole, refused_port};

use crate::{adds, edits, get, module, reads, request, rewrites, values};

fn served(origin: std::net::SocketAddr) -> Ats {
    let config = AtsConfig::new(origin)
        .filter(adds("adds", "x-seen", "1"))
        .filter(reads("reads"))
        .filter(rewrites("rewrites"))
        .record("proxy.config.http.transaction_no_activity_timeout_out", 1)
        .record("proxy.config.http.connect_attempts_timeout", 1);
    Ats::start(&config).unwrap()
}

/// Reads the head of a request.
fn receive(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.extend(byte);
    }
}

/// Both kinds of requests get an error page with the edit of the filters, twice.
fn is_an_error(ats: &Ats) {
    for request in [Request::get("/"), Request::post("/", "hello")] {
        for _ in 0..2 {
            let response = crate::request(ats.address(), &request);
            assert!((500..600).contains(&response.status), "{response:?}");
            assert_eq!(values(&response, "x-seen"), ["1"], "{response:?}");
        }
    }
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
}

#[test]
fn an_origin_that_refuses_gets_the_client_an_error() {
    is_an_error(&served(refused_port()));
}

#[test]
fn an_origin_that_closes_before_it_answers_gets_the_client_an_error() {
    let origin = RawOrigin::start(|mut stream| receive(&mut stream)).unwrap();
    is_an_error(&served(origin.address()));
}

#[test]
fn an_origin_that_never_answers_gets_the_client_an_error() {
    let listener = blackhole().unwrap();
    is_an_error(&served(listener.local_addr().unwrap()));
}

#[test]
fn an_origin_that_speaks_no_http_leaves_the_server_alive() {
    let origin = RawOrigin::start(|mut stream| {
        receive(&mut stream);
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n");
    });
    let ats = served(origin.unwrap().address());
    let response = get(&ats, "/");
    assert!(response.status >= 200, "{response:?}");
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
}

#[test]
fn a_truncated_response_never_looks_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\nhello",
    ] {
        let origin = RawOrigin::start(move |mut stream| {
            receive(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        });
        let ats = served(origin.unwrap().address());
        for _ in 0..3 {
            let outcome = Http1::connect(ats.address())
                .unwrap()
                .request(&Request::get("/"))
                .unwrap();
            // A body that a filter holds back until its end can still become an error; nothing that looks whole may come.
            if let Outcome::Response(response) = outcome {
                assert!(response.status >= 500, "{answer:?}: {response:?}");
            }
        }
        assert!(ats.server().is_alive(), "{}", ats.logs().text());
    }
}

/// Asks for a response that is announced as a megabyte, and waits for its end or leaves; how many bytes the origin sends.
fn broken_off(sent: usize, client_stays: bool) -> Ats {
    let origin = RawOrigin::start(move |mut stream| {
        receive(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        for _ in 0..sent / 1000 {
            let _ = stream.write_all(&[b'x'; 1000]);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
    let filter = filter("flags", &module("misbehave"), "wasmtime");
    let ats = Ats::start(&AtsConfig::new(origin.unwrap().address()).filter(filter)).unwrap();
    let mut client = TcpStream::connect(ats.address()).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-misbehave: flags@log\r\n\r\n")
        .unwrap();
    if client_stays {
        let _ = client.read_to_end(&mut Vec::new());
    } else {
        client.read_exact(&mut [0; 2000]).unwrap();
    }
    ats
}

/// The log knows who broke off: the origin, though the server then breaks the client's side off as well; or the client.
#[test]
fn response_flags_name_the_side_that_broke_off() {
    for (sent, client_stays, flag) in [(10_000, true, 1 << 4), (1_000_000, false, 1 << 14)] {
        let ats = broken_off(sent, client_stays);
        let line = format!("flags@log: Some({flag})");
        assert!(
            ats.logs().wait_for(&line).is_some(),
            "no {line}:\n{}",
            ats.logs().text()
        );
        assert!(ats.server().is_alive());
    }
}

#[test]
fn a_stalled_response_ends_in_an_error() {
    let origin = RawOrigin::start(|mut stream| {
        receive(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        // Until the other side gives up.
        let _ = stream.read(&mut [0]);
    });
    let ats = served(origin.unwrap().address());
    let outcome = Http1::connect(ats.address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap();
    assert!(
        matches!(&outcome, Outcome::Reset)
            || matches!(&outcome, Outcome::Response(response) if response.status >= 500),
        "{outcome:?}"
    );
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
}

/// As a server does that refuses an upload for its head alone: what is left of the body must not bring the proxy down.
#[test]
fn an_early_answer_leaves_the_server_alive() {
    let origin = RawOrigin::start(|mut stream| {
        receive(&mut stream);
        let _ = stream.write_all(
            b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbig\n",
        );
        std::thread::park_timeout(Duration::from_millis(300));
    })
    .unwrap();
    let mut roomy = reads("roomy");
    set(&mut roomy, "limits.body", json!("64MiB"));
    for filter in [reads("reads"), roomy] {
        let ats = Ats::start(&AtsConfig::new(origin.address()).filter(filter)).unwrap();
        // Longer than what sockets hold: with the first filter it streams, with the second it is collected.
        for size in [0, 1 << 10, 1 << 20, 16 << 20] {
            let outcome = Http1::connect(ats.address())
                .unwrap()
                .request(&Request::post("/", vec![b'x'; size]));
            // The connection may end under a client that still sends.
            if let Ok(Outcome::Response(response)) = outcome {
                assert_eq!(response.status, 413, "{response:?}");
            }
            assert!(ats.server().is_alive(), "{}", ats.logs().text());
        }
    }
}

/// The origin breaks off while a filter holds the head: what the client gets is what filters see in the end.
#[test]
fn a_response_that_breaks_off_while_held_is_an_error_for_all() {
    let origin = Origin::start().unwrap();
    let holds = edits("holds", json!([["response", "hold"], ["response", "log_status"]]));
    let mut config = AtsConfig::new(origin.address()).filter_file("holds.yaml", &holds);
    let others = "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header X-Other 1\n";
    config.files.push(("others.conf".to_owned(), others.to_owned()));
    config.plugin = vec![
        "header_rewrite.so others.conf".to_owned(),
        "wasm.so holds.yaml".to_owned(),
    ];
    let ats = Ats::start(&config).unwrap();
    let response = request(ats.address(), &Request::get("/?body=part&abort"));
    assert_eq!(
        (response.status, response.text().as_str()),
        (502, "Bad Gateway"),
        "{response:?}"
    );
    assert_eq!(values(&response, "x-other"), ["1"], "{response:?}");
    assert!(
        ats.logs().wait_for("in the end: 502").is_some(),
        "{}",
        ats.logs().text()
    );
}

/// The server cannot follow redirects where a plugin transforms a body: clients follow them by themselves then.
#[test]
fn redirects_are_not_followed_past_body_filters() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address())
        .filter(reads("reads"))
        .record("proxy.config.http.number_of_redirections", 2)
        .record(
            "proxy.config.http.redirect.actions",
            "self:follow,loopback:follow,routable:follow",
        )
        .rule(format!("map /plain/ {}/", origin.url()));
    config.mode = Mode::Remap;
    let ats = Ats::start(&config).unwrap();
    let moved = format!(
        "?status=302&header=location:{}/plain/target&body=moved",
        origin.url()
    );
    for _ in 0..3 {
        let response = get(&ats, &format!("/page{moved}"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (302, "moved"),
            "{response:?}"
        );
        let response = request(ats.address(), &Request::post(&format!("/page{moved}"), "sent"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (302, "moved"),
            "{response:?}"
        );
        // Where no filter is.
        let response = get(&ats, &format!("/plain/page{moved}"));
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
    let warned = ats.logs().wait_for("number_of_redirections=2");
    assert!(warned.is_some(), "{}", ats.logs().text());
}

#[test]
fn a_buffered_request_passes_body_filters() {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(reads("reads"))
        .record("proxy.config.http.request_buffer_enabled", 1);
    let ats = Ats::start(&config).unwrap();
    for size in [4, 300_000] {
        let response = request(ats.address(), &Request::post("/", vec![b'x'; size]));
        assert_eq!((response.status, response.body.len()), (200, size));
    }
    let warned = ats.logs().wait_for("request_buffer_enabled=1");
    assert!(warned.is_some(), "{}", ats.logs().text());
}
