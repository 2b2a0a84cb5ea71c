//! HTTP/1.1, HTTP/2 and TLS on both sides.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Http2, Request, Response};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Authority, Guests, Origin, RawOrigin, Weir};

use crate::guest;

const NAME: &str = "weir.test";

fn request() -> Request {
    let mut request = Request::new("POST", "/?chunk=hel&chunk=lo").header("te", "trailers");
    request.content = Content::Chunks(vec![b"ques".to_vec(), b"tion".to_vec()]);
    request
}

/// Client protocols over upstream protocols; a filter adds trailers in both directions.
#[test]
fn every_protocol_speaks_to_every_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path()).unwrap();
    let identity = authority.identity(NAME).unwrap();
    let clear = Origin::start().unwrap();
    let tls = Origin::start_tls(authority.server("origin.test", &["h2", "http/1.1"]).unwrap()).unwrap();
    let upstream = |origin: &Origin, protocol: &str, tls: Value| {
        let mut upstream = json!({ "endpoints": [origin.address().to_string()], "protocol": protocol });
        if !tls.is_null() {
            upstream["tls"] = tls;
        }
        upstream
    };
    let trust = json!({ "ca": authority.certificate(), "server_name": "origin.test" });
    let upstreams = [
        ("h1", upstream(&clear, "http1", Value::Null), "HTTP/1.1"),
        ("h2", upstream(&clear, "http2", Value::Null), "HTTP/2.0"),
        ("tls-h1", upstream(&tls, "http1", trust.clone()), "HTTP/1.1"),
        ("tls-auto", upstream(&tls, "auto", trust), "HTTP/2.0"),
    ];
    let mut config = Config::new(&clear.url())
        .set(
            "listeners",
            json!([
                { "address": "127.0.0.1:0" },
                { "address": "127.0.0.1:0", "tls": { "certificate": identity.certificate, "private_key": identity.private_key } },
            ]),
        )
        .filter("trailers", filter("trailers", &guest("trailers_made_on_demand"), "wasmtime"));
    for (name, upstream, _) in &upstreams {
        config = config
            .set(&format!("upstreams.{name}"), upstream.clone())
            .route_with(
                &format!("/{name}"),
                json!({ "upstream": name, "filters": ["trailers"] }),
            );
    }
    let weir = Weir::start_in(folder, config.value()).unwrap();

    for (name, _, version) in &upstreams {
        let mut request = request();
        request.path = format!("/{name}{}", request.path);
        for client in ["h1", "h2c", "tls h1", "tls h2"] {
            let outcome = match client {
                "h1" => Http1::connect(weir.address()).unwrap().request(&request),
                "h2c" => Http2::connect(weir.address()).unwrap().request(&request),
                "tls h1" => {
                    let tls = authority.client(&["http/1.1"]).unwrap();
                    Http1::connect_tls(weir.listener(1), tls, NAME)
                        .unwrap()
                        .request(&request)
                }
                _ => {
                    let tls = authority.client(&["h2"]).unwrap();
                    Http2::connect_tls(weir.listener(1), tls, NAME)
                        .unwrap()
                        .request(&request)
                }
            };
            let context = format!("{client} to {name}");
            let response = outcome.unwrap().response().unwrap_or_else(|error| {
                panic!("{context}: {error}\n{}", weir.logs().text());
            });
            assert_eq!(
                (response.status, response.text().as_str()),
                (200, "hello"),
                "{context}"
            );
            let trailer = ("x-response-sum".to_owned(), b"Ok".to_vec());
            assert!(response.trailers.contains(&trailer), "{context}: {response:?}");
            let origin = if name.starts_with("tls") { &tls } else { &clear };
            let record = origin.wait_for(|record| record.path == request.path).unwrap();
            assert_eq!(
                (record.version.as_str(), record.body.as_slice()),
                (*version, &b"question"[..]),
                "{context}"
            );
            assert_eq!(
                record.trailers,
                [("x-request-sum".to_owned(), b"1".to_vec())],
                "{context}"
            );
        }
    }
}

#[test]
fn an_upstream_with_a_wrong_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path()).unwrap();
    let tls = Origin::start_tls(authority.server("other.test", &["http/1.1"]).unwrap()).unwrap();
    let upstream = |server_name: &str| {
        json!({
            "endpoints": [tls.address().to_string()],
            "tls": { "ca": authority.certificate(), "server_name": server_name },
        })
    };
    let config = Config::new("http://127.0.0.1:1")
        .set("upstreams.wrong", upstream("origin.test"))
        .set("upstreams.right", upstream("other.test"))
        .route_with("/wrong", json!({ "upstream": "wrong" }))
        .route_with("/right", json!({ "upstream": "right" }));
    let weir = Weir::start_in(folder, config.value()).unwrap();
    let get = |path| {
        Http1::connect(weir.address())
            .unwrap()
            .request(&Request::get(path))
            .unwrap()
            .response()
            .unwrap()
    };
    assert_eq!(get("/right").status, 200);
    assert!(matches!(get("/wrong").status, 502 | 503));
    assert!(tls.records().iter().all(|record| record.path != "/wrong"));
}

fn served() -> (Origin, Weir) {
    let origin = Origin::start().unwrap();
    let block = filter("buffers", &guest("response_body_accumulates"), "wasmtime");
    let config = Config::new(&origin.url())
        .filter("buffers", block)
        .route("/buffered", &["buffers"])
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    (origin, weir)
}

#[test]
fn messages_without_a_body_stay_so() {
    let (_origin, weir) = served();
    for prefix in ["", "/buffered"] {
        let cases = [
            ("HEAD", "?body=hello", 200),
            ("GET", "?status=204", 204),
            ("GET", "?status=304", 304),
        ];
        let mut client = Http1::connect(weir.address()).unwrap();
        // On one connection: a body that should not be there would be taken for the next response.
        for (method, query, status) in cases {
            let response = client
                .request(&Request::new(method, &format!("{prefix}/{query}")))
                .unwrap();
            let response = response.response().unwrap();
            assert_eq!(
                (response.status, response.body.len()),
                (status, 0),
                "{method} {query}"
            );
            assert_eq!(
                response.header("transfer-encoding"),
                None,
                "{method} {query}: {response:?}"
            );
        }
        let head = client
            .request(&Request::new("HEAD", "/?body=hello"))
            .unwrap()
            .response()
            .unwrap();
        assert_eq!(head.header("content-length").as_deref(), Some("5"));
        let mut client = Http2::connect(weir.address()).unwrap();
        for (method, query, status) in cases {
            let request = Request::new(method, &format!("{prefix}/{query}"));
            let response = client.request(&request).unwrap().response().unwrap();
            assert_eq!(
                (response.status, response.body.len()),
                (status, 0),
                "h2 {method} {query}"
            );
        }
    }
}

#[test]
fn expect_100_continue_is_answered() {
    let (_origin, weir) = served();
    let mut client = Http1::connect(weir.address()).unwrap();
    client
        .send("POST / HTTP/1.1\r\nhost: weir.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .unwrap();
    assert_eq!(client.head().unwrap().status, 100);
    client.send("hello").unwrap();
    assert_eq!(client.response("POST").unwrap().text(), "hello");
}

/// A WebSocket server of few words: takes the upgrade, then echoes bytes.
fn websocket() -> RawOrigin {
    RawOrigin::start(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        writer
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nwelcome")
            .unwrap();
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            writer.write_all(&buffer[..count]).unwrap();
        }
    })
    .unwrap()
}

#[test]
fn upgrades_pass_through() {
    let origin = websocket();
    let module = guest("header_edit_too_late");
    let config = Config::new(&format!("http://{}", origin.address()))
        .filter("headers", filter("headers", &module, "wasmtime"))
        .route("/filtered", &["headers"])
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    for path in ["/", "/filtered"] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!(
                "GET {path} HTTP/1.1\r\nhost: weir.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            ))
            .unwrap();
        let head = client.head().unwrap();
        assert_eq!(
            (head.status, head.header("upgrade").as_deref()),
            (101, Some("websocket")),
            "{path}"
        );
        assert_eq!(client.read_exact(7).unwrap(), b"welcome");
        for message in [&b"ping"[..], b"\x00\xff\r\n\r\n", b"bye"] {
            client.send(message).unwrap();
            assert_eq!(client.read_exact(message.len()).unwrap(), message);
        }
    }
}

/// A filter takes the wish for another protocol away, or makes an ordinary answer of the 101.
#[test]
fn filters_can_refuse_upgrades() {
    let origin = websocket();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let config = Config::new(&format!("http://{}", origin.address()))
        .filter("editor", filter("editor", &module, "wasmtime"))
        .route("/", &["editor"]);
    let weir = Weir::start(config.value()).unwrap();
    for (edit, status) in [
        // This origin changes protocols unasked, which is a fault of its own.
        (json!([["request", { "remove": "upgrade" }]]), 502),
        (json!([["response", { "replace": [":status", "403"] }]]), 403),
        (json!([]), 101),
    ] {
        let mut client = Http1::connect(weir.address()).unwrap();
        client
            .send(format!(
                "GET / HTTP/1.1\r\nhost: weir.test\r\nx-edits: {edit}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            ))
            .unwrap();
        let head = client.head().unwrap();
        assert_eq!(
            (head.status, head.header("upgrade").is_some()),
            (status, status == 101),
            "{edit}"
        );
    }
}

#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    let (origin, weir) = served();
    let request = Request::get("/hop?header=keep-alive:5&header=x-end:1")
        .header("connection", "x-hop, close")
        .header("x-hop", "1")
        .header("proxy-connection", "keep-alive")
        .header("x-end", "1");
    let response: Response = Http1::connect(weir.address())
        .unwrap()
        .request(&request)
        .unwrap()
        .response()
        .unwrap();
    assert_eq!(response.header("keep-alive"), None);
    assert_eq!(response.header("x-end").as_deref(), Some("1"));
    let record = origin.wait_for(|record| record.path.starts_with("/hop")).unwrap();
    for name in ["x-hop", "proxy-connection"] {
        assert!(record.values(name).is_empty(), "{record:?}");
    }
    assert_eq!(record.values("x-end"), [b"1"]);
}

#[test]
fn the_access_log_can_be_rotated_by_renaming() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let config = Config::new("http://127.0.0.1:1")
        .set("access_log", json!(path))
        .route_with("/", json!({ "upstream": "echo" }));
    let mut weir = Weir::start(config.value()).unwrap();
    let get = |path: &str| {
        let mut client = Http1::connect(weir.address()).unwrap();
        client.request(&Request::get(path)).unwrap().response().unwrap();
    };
    get("/before");
    while !std::fs::read_to_string(&path).unwrap().contains("/before") {
        std::thread::yield_now();
    }
    std::fs::rename(&path, &old).unwrap();
    weir.signal("HUP").unwrap();
    assert!(weir.logs().wait_for("configuration reloaded").is_some());
    while !path.exists() {
        std::thread::yield_now();
    }
    get("/after");
    assert!(weir.stop().unwrap().success());
    let [new, old] = [&path, &old].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(new.contains("/after") && !new.contains("/before"), "{new}");
    assert!(old.contains("/before") && !old.contains("/after"), "{old}");
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let (_origin, weir) = served();
    for number in 0..3 {
        let request = Request::get(&format!("/logged/{number}?status=20{number}"));
        Http1::connect(weir.address()).unwrap().request(&request).unwrap();
    }
    for number in 0..3 {
        let line = weir.access_log().wait_for(&format!("/logged/{number}")).unwrap();
        assert_eq!(line.json["status"], 200 + number, "{}", line.text);
        assert_eq!(line.json["method"], "GET", "{}", line.text);
    }
}

/// An origin that answers one request on each connection, and closes it when the second comes.
fn forgetful() -> RawOrigin {
    RawOrigin::start(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        let mut read_head = || {
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
                line.clear();
            }
        };
        read_head();
        writer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .unwrap();
        read_head();
    })
    .unwrap()
}

#[test]
fn a_request_lost_with_a_kept_connection_is_sent_again_if_that_is_safe() {
    let origin = forgetful();
    // One worker, so that every request finds the connection of the one before.
    let config = Config::new(&format!("http://{}", origin.address()))
        .set("workers", json!(1))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    for method in ["GET", "GET", "DELETE"] {
        let head = format!("{method} / HTTP/1.1\r\nhost: weir.test\r\n\r\n");
        client.send(&head).unwrap();
        assert_eq!(client.response(method).unwrap().status, 200, "{method}");
    }
    client
        .send("POST / HTTP/1.1\r\nhost: weir.test\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    assert_eq!(
        client.response("POST").unwrap().status,
        502,
        "its work might be done twice"
    );
}
