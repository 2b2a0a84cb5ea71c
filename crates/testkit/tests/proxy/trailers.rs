//! Trailers of clients and origins: passed on or dropped, as listeners and upstreams say.

use serde_json::{Value, json};
use weir_testkit::client::{Content, Http1, Http2, Request, Response};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Origin, Weir};

use crate::guest;

/// The values of `trailers`, `null` for none.
const RULES: [&str; 3] = ["null", "\"pass\"", "\"drop\""];

fn rule(index: usize) -> Value {
    serde_json::from_str(RULES[index]).unwrap()
}

/// Returns true if a rule is to pass trailers on that came over this protocol.
fn passes(index: usize, http2: bool) -> bool {
    match RULES[index] {
        "\"pass\"" => true,
        "\"drop\"" => false,
        _ => http2,
    }
}

/// A proxy with a listener and two upstreams for each rule, one of HTTP/1.1 and one of HTTP/2.
fn proxy(origin: &Origin, filters: &[(&str, &str)]) -> Weir {
    let mut config = Config::new(&origin.url());
    let mut listeners = Vec::new();
    let names: Vec<&str> = filters.iter().map(|(name, _)| *name).collect();
    for (name, module) in filters {
        config = config.filter(name, filter(name, &guest(module), "wasmtime"));
    }
    for index in 0..RULES.len() {
        let mut listener = json!({ "address": "127.0.0.1:0" });
        if !rule(index).is_null() {
            listener["trailers"] = rule(index);
        }
        listeners.push(listener);
        for protocol in ["http1", "http2"] {
            let mut upstream = json!({ "endpoints": [origin.address().to_string()], "protocol": protocol });
            if !rule(index).is_null() {
                upstream["trailers"] = rule(index);
            }
            let name = format!("{protocol}-{index}");
            config = config
                .set(&format!("upstreams.{name}"), upstream)
                .route_with(&format!("/{name}"), json!({ "upstream": name, "filters": names }));
        }
    }
    Weir::start(config.set("listeners", Value::Array(listeners)).value()).unwrap()
}

fn ask(weir: &Weir, listener: usize, http2: bool, path: &str) -> Response {
    let mut request = Request::new("POST", path).header("te", "trailers");
    request.content = Content::Chunks(vec![b"hello".to_vec()]);
    request.trailers.push(("x-client".to_owned(), b"1".to_vec()));
    let address = weir.listener(listener);
    let outcome = if http2 {
        Http2::connect(address).unwrap().request(&request)
    } else {
        Http1::connect(address).unwrap().request(&request)
    };
    outcome.unwrap().response().unwrap()
}

#[test]
fn trailers_pass_as_listener_and_upstream_say() {
    let origin = Origin::start().unwrap();
    let weir = proxy(&origin, &[]);
    for (index, rule) in RULES.iter().enumerate() {
        for http2 in [false, true] {
            let path = format!("/http1-0/{index}{http2}");
            ask(&weir, index, http2, &path);
            let record = origin.wait_for(|record| record.path == path).unwrap();
            assert_eq!(record.body, b"hello");
            let found = record.trailers == [("x-client".to_owned(), b"1".to_vec())];
            assert_eq!(found, passes(index, http2), "listener {rule}, {http2}");

            let protocol = if http2 { "http2" } else { "http1" };
            let path = format!("/{protocol}-{index}?chunk=hello&trailer=x-origin:1");
            let response = ask(&weir, 0, true, &path);
            assert_eq!(response.text(), "hello");
            let found = response.trailers == [("x-origin".to_owned(), b"1".to_vec())];
            assert_eq!(found, passes(index, http2), "upstream {rule}, {http2}");
        }
    }
}

/// A filter that waits for `end_of_stream` in the body callback sees it, whatever trailers a client of HTTP/1.1 sends.
#[test]
fn dropped_trailers_leave_the_end_to_the_body() {
    let origin = Origin::start().unwrap();
    let weir = proxy(&origin, &[("ends", "end_of_stream")]);
    for (http2, expected) in [
        (false, &["request body, end 1"][..]),
        (true, &["request body, end 0", "request trailers"]),
    ] {
        let response = ask(&weir, 0, http2, "/http1-0?status=204");
        let reports: Vec<String> = response
            .headers
            .iter()
            .filter(|(name, _)| name == "x-report")
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .filter(|line| line.starts_with("request ") && !line.contains("headers"))
            .collect();
        // The last piece may come apart from the end.
        assert!(
            expected
                .iter()
                .all(|line| reports.iter().any(|found| found == line)),
            "{http2}: {reports:?}"
        );
        assert_eq!(reports.iter().any(|line| line == "request trailers"), http2);
    }
}

#[test]
fn a_filters_trailers_go_out_where_the_senders_are_dropped() {
    let origin = Origin::start().unwrap();
    let weir = proxy(&origin, &[("adds", "trailers_made_on_demand")]);
    let path = "/http1-0?chunk=hel&chunk=lo&trailer=x-origin:1";
    let response = ask(&weir, 0, false, path);
    let record = origin.wait_for(|record| record.path == path).unwrap();
    assert_eq!(record.trailers, [("x-request-sum".to_owned(), b"1".to_vec())]);
    assert_eq!(response.trailers, [("x-response-sum".to_owned(), b"Ok".to_vec())]);
}
