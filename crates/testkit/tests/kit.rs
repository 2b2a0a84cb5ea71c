//! The kit itself: clients and origins against each other, without a proxy between them.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use weir_testkit::client::{Content, Http1, Http2, Outcome, Request};
use weir_testkit::{Authority, Guests, Origin, RawOrigin};

fn chunked() -> Request {
    let mut request = Request::new(
        "POST",
        "/?status=201&header=x-a:1&chunk=one&chunk=two&trailer=x-t:%e9&delay=1",
    );
    request.headers.push(("te".to_owned(), b"trailers".to_vec()));
    request.headers.push(("x-b".to_owned(), b"caf\xe9".to_vec()));
    request.content = Content::Chunks(vec![b"three".to_vec(), b"four".to_vec()]);
    request.trailers.push(("x-s".to_owned(), b"2".to_vec()));
    request
}

fn compare(outcome: Outcome, origin: &Origin) {
    let response = outcome.response().unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.header("x-a").as_deref(), Some("1"));
    assert_eq!(response.header("x-origin").as_deref(), Some("1"));
    assert_eq!(response.body, b"onetwo");
    assert_eq!(response.trailers, [("x-t".to_owned(), b"\xe9".to_vec())]);
    let record = origin.wait_for(|record| record.method == "POST").unwrap();
    assert_eq!(record.body, b"threefour");
    assert_eq!(record.values("x-b"), [b"caf\xe9"]);
    assert_eq!(record.values("host"), [b"weir.test"]);
    assert_eq!(record.trailers, [("x-s".to_owned(), b"2".to_vec())]);
}

#[test]
fn both_protocols_carry_everything() {
    let origin = Origin::start().unwrap();
    compare(
        Http1::connect(origin.address())
            .unwrap()
            .request(&chunked())
            .unwrap(),
        &origin,
    );
    let origin = Origin::start().unwrap();
    compare(
        Http2::connect(origin.address())
            .unwrap()
            .request(&chunked())
            .unwrap(),
        &origin,
    );
}

#[test]
fn tls_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path()).unwrap();
    let origin = Origin::start_tls(authority.server("origin.test", &["h2", "http/1.1"]).unwrap()).unwrap();
    let connect =
        |name| Http1::connect_tls(origin.address(), authority.client(&["http/1.1"]).unwrap(), name).unwrap();
    let response = connect("origin.test")
        .request(&Request::post("/", "hello"))
        .unwrap()
        .response()
        .unwrap();
    assert_eq!(response.body, b"hello");
    assert!(connect("other.test").request(&Request::get("/")).is_err());
    let mut http2 = Http2::connect_tls(
        origin.address(),
        authority.client(&["h2"]).unwrap(),
        "origin.test",
    )
    .unwrap();
    let outcomes = http2
        .requests(&[Request::get("/?body=a"), Request::get("/?body=b")])
        .unwrap();
    let bodies: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.response().unwrap().body)
        .collect();
    assert_eq!(bodies, [b"a", b"b"]);
}

#[test]
fn one_connection_takes_many_requests() {
    let origin = Origin::start().unwrap();
    let mut client = Http1::connect(origin.address()).unwrap();
    for (request, status, body) in [
        (Request::get("/?size=100000"), 200, "x".repeat(100_000)),
        (Request::new("HEAD", "/?body=hello"), 200, String::new()),
        (Request::get("/?status=204"), 204, String::new()),
        (Request::get("/"), 200, "hello from the origin".to_owned()),
    ] {
        let response = client.request(&request).unwrap().response().unwrap();
        assert_eq!((response.status, response.text()), (status, body));
    }
}

#[test]
fn a_response_that_breaks_off_is_told_from_one_that_ends() {
    let origin = Origin::start().unwrap();
    let request = Request::get("/?chunk=one&abort");
    assert_eq!(
        Http1::connect(origin.address())
            .unwrap()
            .request(&request)
            .unwrap(),
        Outcome::Reset
    );
    assert_eq!(
        Http2::connect(origin.address())
            .unwrap()
            .request(&request)
            .unwrap(),
        Outcome::Reset
    );

    let short = RawOrigin::start(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
            .unwrap();
    });
    let outcome = Http1::connect(short.unwrap().address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap();
    assert_eq!(outcome, Outcome::Reset);
}

#[test]
fn interim_responses_are_counted() {
    let origin = RawOrigin::start(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
    });
    let response = Http1::connect(origin.unwrap().address())
        .unwrap()
        .request(&Request::get("/"))
        .unwrap();
    let response = response.response().unwrap();
    assert_eq!((response.status, response.interim), (204, vec![100, 103]));
}

#[test]
fn guests_are_built() {
    let guests = Guests::build().unwrap();
    assert!(guests.filter("prime-token").is_ok());
    assert!(guests.example("lifecycle").is_ok());
    assert!(guests.example("no_such_case").is_err());
}
