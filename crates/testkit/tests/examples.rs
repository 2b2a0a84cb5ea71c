//! Every example filter does what its README says, with its own configuration.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::Config;
use weir_testkit::{Guests, Origin, PATIENCE, Weir, repository};

/// The proxy with each filter on the path of its name.
fn start(origin: &Origin, names: &[&str]) -> Weir {
    Guests::build().unwrap();
    let mut config = Config::new(&origin.url()).set("upstreams.auth", json!(origin.url()));
    for name in names {
        let file = repository().join(format!("filters/{name}/{name}.yaml"));
        config = config
            .set(&format!("filters.{name}"), json!({ "file": file }))
            .route(&format!("/{name}"), &[name]);
    }
    Weir::start(config.value()).unwrap()
}

fn send(weir: &Weir, request: &Request) -> Response {
    let outcome = Http1::connect(weir.address()).unwrap().request(request).unwrap();
    outcome
        .response()
        .unwrap_or_else(|error| panic!("{error}\n{}", weir.logs().text()))
}

#[test]
fn prime_token() {
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["prime-token"]);
    for (token, status) in [
        ("7", 200),
        ("4", 403),
        ("1", 403),
        ("18446744073709551557", 200),
        ("caf\u{e9}", 403),
    ] {
        let response = send(&weir, &Request::get("/prime-token/").header("token", token));
        assert_eq!(response.status, status, "{token}");
    }
    let response = send(
        &weir,
        &Request::get("/prime-token/").header("user-agent", "tester"),
    );
    assert_eq!(
        (response.status, response.text().trim_end()),
        (403, "Access forbidden.")
    );
    assert_eq!(response.header("powered-by").as_deref(), Some("proxy-wasm"));
    weir.logs().wait_for("tester").unwrap();
}

#[test]
fn header_rewrite() {
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["header-rewrite"]);
    let response = send(
        &weir,
        &Request::get("/header-rewrite/").header("x-internal", "secret"),
    );
    assert!(response.header("x-frame-options").is_some(), "{response:?}");
    let record = origin
        .wait_for(|record| record.path == "/header-rewrite/")
        .unwrap();
    assert!(record.values("x-internal").is_empty(), "{record:?}");
    assert_eq!(record.values("x-forwarded-by"), [b"weir"]);
    assert_eq!(record.values("x-tag").len(), 2);
}

#[test]
fn body_rewrite() {
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["body-rewrite"]);
    let chunks = "chunk=a%20hedge&chunk=hog%20of%20no%20col&chunk=our";
    for query in ["body=a%20hedgehog%20of%20no%20colour", chunks] {
        let text = Request::get(&format!(
            "/body-rewrite/?{query}&header=content-type:text/plain&delay=5"
        ));
        assert_eq!(send(&weir, &text).text(), "a porcupine of no color");
    }
    for method in ["GET", "HEAD"] {
        let path = "/body-rewrite/?etag=1&body=a%20hedgehog&header=content-type:text/plain";
        let response = send(&weir, &Request::new(method, path));
        assert_eq!(response.header("etag").as_deref(), Some("W/\"1\""), "{method}");
    }
    let image = Request::get("/body-rewrite/?body=a%20hedgehog&header=content-type:image/png");
    assert_eq!(send(&weir, &image).text(), "a hedgehog");
}

#[test]
fn body_hash() {
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["body-hash"]);
    let response = send(
        &weir,
        &Request::post("/body-hash/", "hello").header("te", "trailers"),
    );
    let hash = ("x-body-sha256".to_owned(), HELLO.as_bytes().to_vec());
    assert_eq!(response.text(), "hello");
    assert!(response.trailers.contains(&hash), "{response:?}");
    let record = origin.wait_for(|record| record.path == "/body-hash/").unwrap();
    assert!(record.trailers.contains(&hash), "{record:?}");
}

#[test]
fn ext_auth() {
    // The origin is the service too, so the configuration of the file cannot tell it what to answer: a proxy of its own
    // does, with the prime token filter as the rule.
    let origin = Origin::start().unwrap();
    let names = ["prime-token", "ext-auth"];
    let service = start(&origin, &names[..1]);
    let text = fs::read_to_string(repository().join("filters/ext-auth/ext-auth.yaml")).unwrap();
    assert!(text.contains("auth"), "{text}");
    let url = format!("http://{}", service.address());
    let module = Guests::build().unwrap().filter("ext-auth").unwrap();
    let mut block: Value = weir_testkit::config::filter("ext-auth", &module, "wasmtime");
    block["configuration"] = json!({
        "upstream": "auth",
        "path": "/prime-token/",
        "request_headers": ["token"],
        "identity_headers": ["x-origin"],
    });
    let config = Config::new(&origin.url())
        .set("upstreams.auth", json!(url))
        .set("upstreams.gone", json!("http://127.0.0.1:1"))
        .filter("ext-auth", block.clone())
        .filter("no-auth", {
            block["configuration"]["upstream"] = json!("gone");
            block
        })
        .route("/gone", &["no-auth"])
        .route("/", &["ext-auth"]);
    let weir = Weir::start(config.value()).unwrap();

    let request = |token: &str| {
        Request::get("/asked")
            .header("token", token)
            .header("x-origin", "mallory")
    };
    let allowed = send(&weir, &request("7"));
    assert_eq!(allowed.status, 200, "{allowed:?}\n{}", weir.logs().text());
    let record = origin.wait_for(|record| record.path == "/asked").unwrap();
    assert_eq!(record.values("x-origin"), [b"1"]);
    let denied = send(&weir, &request("4"));
    assert_eq!(
        (denied.status, denied.text().trim_end()),
        (403, "Access forbidden.")
    );
    assert_eq!(
        send(&weir, &Request::get("/gone").header("token", "7")).status,
        503
    );
}

#[test]
fn rate_limit() {
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["rate-limit"]);
    let ask = |client: &str| send(&weir, &Request::get("/rate-limit/").header("x-api-key", client));
    let first = ask("me");
    assert_eq!(first.status, 200);
    assert!(first.header("x-ratelimit-limit").is_some() && first.header("x-ratelimit-remaining").is_some());
    let refused = (0..200)
        .map(|_| ask("me"))
        .find(|response| response.status == 429);
    let refused = refused.expect("nobody may come that often");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(ask("you").status, 200);
}

#[test]
fn traffic_metrics() {
    let origin = Origin::start().unwrap();
    let names = ["traffic-metrics"];
    let module = Guests::build().unwrap().filter(names[0]).unwrap();
    let mut block = weir_testkit::config::filter(names[0], &module, "wasmtime");
    block["configuration"] = json!({ "summary_seconds": 1 });
    // One worker, and so one VM: each sums up what it has seen.
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .filter(names[0], block)
        .route("/", &names);
    let weir = Weir::start(config.value()).unwrap();
    for request in [
        Request::get("/"),
        Request::new("DELETE", "/"),
        Request::get("/?status=404"),
    ] {
        send(&weir, &request);
    }
    let summary = weir.logs().wait(PATIENCE, |lines| {
        let all = |line: &&weir_testkit::LogLine| {
            ["3 requests", "GET 2xx: 1", "DELETE 2xx: 1", "GET 4xx: 1"]
                .iter()
                .all(|part| line.message().contains(part))
        };
        lines.iter().find(all).cloned()
    });
    assert!(summary.is_some(), "{}", weir.logs().text());
}

#[test]
fn queue_producer_and_consumer() {
    let origin = Origin::start().unwrap();
    let weir = start(&origin, &["queue-producer", "queue-consumer"]);
    send(
        &weir,
        &Request::get("/queue-producer/hello").header("user-agent", "tester"),
    );
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let shown = send(&weir, &Request::get("/queue-consumer"));
        if shown.text().contains("/queue-producer/hello") {
            assert!(shown.text().contains("tester"), "{shown:?}");
            return;
        }
        assert!(
            std::time::Instant::now() < until,
            "{shown:?}\n{}",
            weir.logs().text()
        );
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}
