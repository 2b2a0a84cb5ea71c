//! Clients that do not wait, and clients that go away.

use weir_testkit::client::{Http1, Http2, Request};
use weir_testkit::config::filter;
use weir_testkit::{Ats, AtsConfig, Origin};

use crate::{adds, get, module, reads, rewrites, serves, values};

fn served() -> (Origin, Ats) {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(adds("adds", "x-seen", "1"))
        .filter(reads("reads"))
        .filter(rewrites("rewrites"));
    let ats = Ats::start(&config).unwrap();
    (origin, ats)
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_origin, ats) = served();
    let mut client = Http1::connect(ats.address()).unwrap();
    let requests: String = (0..20)
        .map(|number| {
            format!("GET /?body={number}&header=content-type:text/plain HTTP/1.1\r\nhost: a\r\n\r\n")
        })
        .collect();
    client.send(requests).unwrap();
    for number in 0..20 {
        let response = client.response("GET").unwrap();
        assert_eq!(response.text(), number.to_string());
        assert_eq!(values(&response, "x-seen"), ["1"]);
    }
}

#[test]
fn pipelined_requests_with_bodies_are_answered_in_order() {
    let (_origin, ats) = served();
    let mut client = Http1::connect(ats.address()).unwrap();
    let requests: String = (10..30)
        .map(|number| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{number}"))
        .collect();
    client.send(requests).unwrap();
    for number in 10..30 {
        assert_eq!(client.response("POST").unwrap().text(), number.to_string());
    }
}

#[test]
fn clients_that_leave_while_they_send_do_no_harm() {
    let (_origin, ats) = served();
    for _ in 0..20 {
        for sent in [
            "GET / HTT",
            "GET / HTTP/1.1\r\nhost: a\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            Http1::connect(ats.address()).unwrap().send(sent).unwrap();
        }
    }
    serves(&ats, "/");
}

#[test]
fn clients_that_leave_while_they_receive_do_no_harm() {
    let (_origin, ats) = served();
    for _ in 0..10 {
        // Before the head, between head and body, in the body.
        for path in [
            "/?delay=50",
            "/?chunk=one&chunk=two&delay=50",
            "/?size=10000000",
            "/?size=10000000&header=content-type:text/plain",
        ] {
            let mut client = Http1::connect(ats.address()).unwrap();
            client.send_request(&Request::get(path)).unwrap();
            if path.contains("size") {
                client.head().unwrap();
            }
        }
    }
    serves(&ats, "/");
}

/// They leave while the filter keeps them waiting.
#[test]
fn clients_that_leave_while_paused_do_no_harm() {
    let origin = Origin::start().unwrap();
    let block = filter("misbehave", &module("misbehave"), "wasmtime");
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(block)).unwrap();
    for callback in [
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
    ] {
        for _ in 0..5 {
            // One that has sent everything, and one that has not.
            let paused = Request::post("/?chunk=one&chunk=two", "hello");
            let paused = paused.header("x-misbehave", format!("pause@{callback}"));
            Http1::connect(ats.address())
                .unwrap()
                .send_request(&paused)
                .unwrap();
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\nx-misbehave: pause@{callback}\r\n");
            Http1::connect(ats.address())
                .unwrap()
                .send(format!("{head}content-length: 10\r\n\r\nhalf"))
                .unwrap();
        }
    }
    serves(&ats, "/");
}

#[test]
fn many_streams_share_one_connection() {
    let (_origin, ats) = served();
    let mut client = Http2::connect(ats.address()).unwrap();
    let requests: Vec<_> = (0..50)
        .map(|number| Request::get(&format!("/?body={number}")))
        .collect();
    let outcomes = client.requests(&requests).unwrap();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let response = outcome.response().unwrap();
        assert_eq!(response.text(), number.to_string());
        assert_eq!(values(&response, "x-seen"), ["1"]);
    }
    assert_eq!(get(&ats, "/").status, 200);
}
