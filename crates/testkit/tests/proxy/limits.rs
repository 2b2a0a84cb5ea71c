//! Time that runs out and bodies that are too large.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_testkit::client::{Content, Http1, Http2, Outcome, Request};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, Origin, PATIENCE, RawOrigin, Weir, blackhole, refused_port};

use crate::guest;

#[test]
fn a_silent_client_is_disconnected() {
    let config = Config::new("http://127.0.0.1:1")
        .set(
            "timeouts",
            json!({ "request_header": "200ms", "client_idle": "300ms" }),
        )
        .route_with("/", json!({ "upstream": "echo" }));
    let weir = Weir::start(config.value()).unwrap();

    // Half of a request head.
    let mut client = Http1::connect(weir.address()).unwrap();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n").unwrap();
    match client.outcome("GET").unwrap() {
        Outcome::Reset => {}
        Outcome::Response(response) => assert_eq!(response.status, 408),
    }
    // A connection that has served its request.
    let mut client = Http1::connect(weir.address()).unwrap();
    assert_eq!(
        client
            .request(&Request::get("/"))
            .unwrap()
            .response()
            .unwrap()
            .status,
        200
    );
    assert!(client.is_closed());
}

#[test]
fn silent_upstreams_time_out() {
    let silent = blackhole().unwrap();
    let cut = RawOrigin::start(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of")
            .unwrap();
    });
    let closing = RawOrigin::start(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
    });
    let config = Config::new("http://127.0.0.1:1")
        .set(
            "upstreams.silent",
            json!(format!("http://{}", silent.local_addr().unwrap())),
        )
        .set("upstreams.refused", json!(format!("http://{}", refused_port())))
        .set(
            "upstreams.cut",
            json!(format!("http://{}", cut.unwrap().address())),
        )
        .set(
            "upstreams.closing",
            json!(format!("http://{}", closing.unwrap().address())),
        )
        .route_with("/silent", json!({ "upstream": "silent", "timeout": "200ms" }))
        .route_with("/refused", json!({ "upstream": "refused" }))
        .route_with("/cut", json!({ "upstream": "cut" }))
        .route_with("/closing", json!({ "upstream": "closing" }));
    let weir = Weir::start(config.value()).unwrap();
    let get = |path: &str| {
        let request = Request::get(path);
        let http1 = Http1::connect(weir.address()).unwrap().request(&request).unwrap();
        let http2 = Http2::connect(weir.address()).unwrap().request(&request).unwrap();
        [http1, http2].map(|outcome| match outcome {
            Outcome::Response(response) => Some(response.status),
            Outcome::Reset => None,
        })
    };
    assert_eq!(get("/silent"), [Some(504); 2]);
    for path in ["/refused", "/closing"] {
        assert!(
            get(path).iter().all(|status| matches!(status, Some(502 | 503))),
            "{path}: {:?}",
            get(path)
        );
    }
    // The head has gone out: the body can only be broken off.
    assert_eq!(get("/cut"), [None; 2]);
    assert_eq!(get("/no/such/route"), [Some(404); 2]);
}

#[test]
fn an_idle_stream_ends() {
    let silent = blackhole().unwrap();
    let config = Config::new(&format!("http://{}", silent.local_addr().unwrap()))
        .set("timeouts", json!({ "stream_idle": "300ms", "upstream": "1h" }))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    match Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap()
    {
        Outcome::Reset => {}
        Outcome::Response(response) => assert!(matches!(response.status, 408 | 504), "{response:?}"),
    }
}

#[test]
fn a_stream_that_a_filter_holds_for_too_long_gets_the_fail_policy() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    let mut config = Config::new(&origin.url()).set("admin", json!("127.0.0.1:0"));
    for name in ["open", "closed"] {
        let mut block = filter(name, &module, "wasmtime");
        set(&mut block, "fail_open", json!(name == "open"));
        set(&mut block, "limits.stream_deadline", json!("300ms"));
        config = config.filter(name, block).route(&format!("/{name}/"), &[name]);
    }
    let weir = Weir::start(config.value()).unwrap();
    let rules = [
        "pause@request_headers",
        "pause@request_body",
        "pause@response_headers",
        "pause@response_body",
    ];
    for rule in rules {
        for (path, wanted) in [("/open/", 200), ("/closed/", 503)] {
            let request = Request::post(path, "a body").header("x-misbehave", rule);
            let http1 = Http1::connect(weir.address()).unwrap().request(&request);
            let http2 = Http2::connect(weir.address()).unwrap().request(&request);
            for outcome in [http1.unwrap(), http2.unwrap()] {
                let response = outcome.response().unwrap();
                assert_eq!(response.status, wanted, "{path} {rule}\n{}", weir.logs().text());
            }
        }
    }
    for (name, policy) in [("open", "open"), ("closed", "closed")] {
        let line = format!("filter {name}: held a stream for longer than `limits.stream_deadline` (300ms)");
        let logged = weir.logs().wait_for(&line).unwrap();
        assert!(
            logged.text.contains(&format!("fail_policy={policy}")),
            "{}",
            logged.text
        );
    }
    assert!(!weir.logs().text().contains("died"), "{}", weir.logs().text());
}

/// A client that sends half a body and no more does not get past a filter that collects bodies: the filter holds nothing
/// that it could let go.
#[test]
fn a_client_that_stalls_does_not_get_past_the_filter() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    let mut block = filter("filter", &module, "wasmtime");
    set(&mut block, "fail_open", json!(true));
    set(&mut block, "limits.stream_deadline", json!("300ms"));
    let config = Config::new(&origin.url())
        .set("timeouts.stream_idle", json!("1500ms"))
        .filter("filter", block)
        .route("/", &["filter"]);
    let weir = Weir::start(config.value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    client
        .send(
            "POST / HTTP/1.1\r\nhost: a\r\nx-misbehave: pause@request_body\r\ncontent-length: 10\r\n\r\nhalf",
        )
        .unwrap();
    match client.outcome("POST").unwrap() {
        Outcome::Reset => {}
        Outcome::Response(response) => assert_eq!(response.status, 408),
    }
    assert!(
        !weir.logs().text().contains("held a stream"),
        "{}",
        weir.logs().text()
    );
    assert!(origin.records().is_empty(), "the request went past the filter");
}

#[test]
fn an_idle_tunnel_ends() {
    let origin = RawOrigin::start(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Answers each byte, until Weir closes the connection.
        let mut byte = [0];
        while matches!(stream.read(&mut byte), Ok(1)) {
            stream.write_all(&byte).unwrap();
        }
    });
    let config = Config::new(&format!("http://{}", origin.unwrap().address()))
        .set("timeouts", json!({ "tunnel_idle": "500ms" }))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    let mut stream = std::net::TcpStream::connect(weir.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    // For longer than the timeout, with bytes on their way.
    for _ in 0..8 {
        stream.write_all(b"x").unwrap();
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert!(matches!(stream.read(&mut byte), Ok(0) | Err(_)));
    let logged = weir.access_log().wait_for("tunnel_idle_timeout");
    assert!(logged.is_some(), "{}", weir.access_log().text());
}

/// The kernel spreads connections over the workers as it likes.
#[test]
fn connections_are_bounded_for_all_workers_together() {
    let origin = Origin::start().unwrap();
    let switching = RawOrigin::start(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Until the client goes.
        let _ = stream.read(&mut [0; 1024]);
    });
    let config = Config::new(&origin.url())
        .set("workers", json!(4))
        .set("limits", json!({ "connections": 12 }))
        .set("admin", json!("127.0.0.1:0"))
        .set(
            "upstreams.switching",
            json!(format!("http://{}", switching.unwrap().address())),
        )
        .route_with("/switch", json!({ "upstream": "switching" }))
        .route("/", &[]);
    let weir = Weir::start(config.value()).unwrap();
    let get = |path: &str| -> Option<(Http1, u16)> {
        let mut client = Http1::connect(weir.address()).ok()?;
        let request = match path {
            "/" => Request::get(path),
            _ => Request::get(path)
                .header("connection", "upgrade")
                .header("upgrade", "echo"),
        };
        match client.request(&request).ok()? {
            Outcome::Response(response) => Some((client, response.status)),
            Outcome::Reset => None,
        }
    };
    let mut open: Vec<Http1> = Vec::new();
    for number in 0..12 {
        // One of them becomes a tunnel, which counts too.
        let (path, wanted) = if number == 0 { ("/switch", 101) } else { ("/", 200) };
        let (client, status) = get(path).unwrap_or_else(|| panic!("connection {number} was refused"));
        assert_eq!(status, wanted);
        open.push(client);
    }
    for _ in 0..20 {
        assert!(get("/").is_none(), "a connection too many");
    }
    let logged = weir.logs().wait_for("refused client connections").unwrap();
    assert!(logged.text.contains("`limits.connections`"), "{}", logged.text);
    let lines = weir.logs().lines();
    let warnings = lines
        .iter()
        .filter(|line| line.text.contains("refused client connections"))
        .count();
    assert!(warnings <= 2, "{}", weir.logs().text());
    // Room for one more, whether a tunnel or a connection has gone.
    for gone in [0, 5] {
        drop(open.remove(gone));
        let until = Instant::now() + PATIENCE;
        let next = loop {
            match get("/") {
                Some((client, 200)) => break client,
                _ => assert!(Instant::now() < until, "{}", weir.logs().text()),
            }
            std::thread::park_timeout(Duration::from_millis(20));
        };
        open.push(next);
    }
}

#[test]
fn held_bodies_beyond_the_limit_are_refused() {
    let origin = Origin::start().unwrap();
    let block = |name: &str| filter(name, &guest(name), "wasmtime");
    let config = Config::new(&origin.url())
        .set("limits.body", json!("64KiB"))
        .filter("set_buffer_bytes", block("set_buffer_bytes"))
        .filter("response_body_accumulates", block("response_body_accumulates"))
        .filter("body_streams", block("body_streams"))
        .filter("whole", {
            let mut block = block("allow_on_headers_stop_iteration");
            block["allow_on_headers_stop_iteration"] = json!(true);
            block
        })
        .route("/whole", &["whole"])
        .route("/request", &["set_buffer_bytes"])
        .route("/response", &["response_body_accumulates"])
        .route("/streams", &["body_streams"]);
    let weir = Weir::start(config.value()).unwrap();
    // More than the proxy could get at one time, and so decide on as a whole.
    let large = vec![b'x'; 4 << 20];
    let post = |path: &str, content: Content| {
        let mut request = Request::new("POST", path).header("x-edit", "0 0 >");
        request.content = content;
        let http1 = Http1::connect(weir.address()).unwrap().request(&request).unwrap();
        let http2 = Http2::connect(weir.address()).unwrap().request(&request).unwrap();
        [http1, http2].map(|outcome| outcome.response().unwrap())
    };
    for content in [
        Content::Sized(large.clone()),
        Content::Chunks(vec![large.clone()]),
    ] {
        for response in post("/request", content.clone()) {
            assert_eq!(response.status, 413);
        }
        for response in post("/streams", content) {
            assert_eq!(response.status, 200);
        }
    }
    for response in post("/request", Content::Sized(vec![b'x'; 60_000])) {
        assert_eq!((response.status, response.body.len()), (200, 60_001));
    }
    let streamed = origin
        .records()
        .into_iter()
        .filter(|record| record.path == "/streams");
    assert!(streamed.map(|record| record.length).eq([large.len() as u64; 4]));
    assert!(
        origin
            .records()
            .iter()
            .all(|record| !record.path.starts_with("/request") || record.length < 65536)
    );
    let ask = |path: &str| {
        // With a body: what holds its headers back goes on at the end of the body.
        let request = Request::post(path, "question");
        Http1::connect(weir.address()).unwrap().request(&request).unwrap()
    };
    // Its head is held too, so there is still something to say.
    assert_eq!(ask("/whole?size=10000000").response().unwrap().status, 500);
    assert_eq!(ask("/whole?body=short").response().unwrap().status, 200);
    // Its head may have gone out, and then the body can only be broken off.
    match ask("/response?size=10000000") {
        Outcome::Reset => {}
        Outcome::Response(response) => assert_eq!(response.status, 500),
    }
    assert_eq!(ask("/response?body=short").response().unwrap().status, 200);
}
