//! The pages as clients get them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on ends"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use weir_admin::{AdminServer, Readiness};
use weir_host::{ForeignFunctions, Shared};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn start() -> (AdminServer, Shared, Readiness) {
    let shared = Shared::new(ForeignFunctions::default());
    let readiness = Readiness::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = AdminServer::start(listener, shared.clone(), readiness.clone()).unwrap();
    (server, shared, readiness)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(address: SocketAddr, line: &str, more: &str) -> String {
    let mut stream = connect(address);
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn pages_are_read_only() {
    let (server, ..) = start();
    let address = server.address();
    let page = ask(address, "GET /metrics", "");
    assert!(
        page.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{page}"
    );
    assert!(page.contains("\nweir_streams_total 0\n"), "{page}");
    assert_eq!(status(&ask(address, "GET /healthz", "")), "200");
    assert!(ask(address, "HEAD /metrics", "").ends_with("\r\n\r\n"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = ask(address, &format!("{method} /metrics"), "");
        assert!(
            status(&refused) == "405" && refused.contains("allow: GET, HEAD\r\n"),
            "{refused}"
        );
    }
    let unknown = ask(address, "GET /other", "");
    assert_eq!(status(&unknown), "404");
    for page in ["/metrics", "/healthz", "/readyz"] {
        assert!(unknown.contains(page), "{unknown}");
    }
}

#[test]
fn open_metrics_is_given_to_those_who_ask() {
    let (server, ..) = start();
    let page = ask(
        server.address(),
        "GET /metrics",
        "accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    assert!(
        page.ends_with("# EOF\n") && page.contains("\n# TYPE weir_streams counter\nweir_streams_total 0\n")
    );
}

#[test]
fn readiness_is_what_the_proxy_says() {
    let (server, _, readiness) = start();
    let ready = || ask(server.address(), "GET /readyz", "");
    let before = ready();
    assert!(
        status(&before) == "503" && before.contains("not ready: "),
        "{before}"
    );
    readiness.started();
    assert_eq!(status(&ready()), "200");
    readiness.ending();
    assert_eq!(status(&ready()), "503");
}

#[test]
fn clients_that_do_not_read_hold_nobody_up() {
    let (server, shared, _) = start();
    let mut cache = shared.metrics().cache();
    for i in 0..5_000 {
        let name = format!("a_histogram_with_a_name_of_some_length_{i}");
        cache
            .define(weir_abi::MetricType::Histogram, name.as_bytes())
            .unwrap();
    }
    let idle: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(server.address());
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(status(&ask(server.address(), "GET /healthz", "")), "200");
        assert!(ask(server.address(), "GET /metrics", "").contains("\nweir_metrics_left_out "));
    }
    drop(idle);
}

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let (server, ..) = start();
    let mut stream = connect(server.address());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn the_port_is_free_once_the_server_is_dropped() {
    let (server, ..) = start();
    let address = server.address();
    let open = connect(address);
    // Returns although a connection is open.
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    drop(open);
}
