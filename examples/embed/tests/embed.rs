//! A filter in the server: a reload, and a death.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response};
use tokio::task::LocalSet;
use weir_embed::Filters;
use weir_engine_wasmi::WasmiEngine;
use weir_plan::Runtimes;

/// Adds its configuration to responses as `x-filter`, answers `/refused` by itself, dies of `/die`, replaces the body of
/// `/longer`, and holds `/hold`. Responses have `x-held` while it holds a request, and `x-left` once the stream of that request has ended.
const GUEST: &str = r#"(module
    (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) ":pathx-filterrefusedx-heldx-left")
    (global $held (mut i32) (i32.const 0))
    (global $left (mut i32) (i32.const 0))
    (global $heap (mut i32) (i32.const 4096))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32)
        (global.set $heap (i32.add (global.get $heap) (local.get 0)))
        (i32.sub (global.get $heap) (local.get 0)))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $get (i32.const 7) (i32.const 0) (local.get 1) (i32.const 100) (i32.const 104)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $header (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 200) (i32.const 204)))
        (if (i32.eq (i32.load (i32.load (i32.const 200))) (i32.const 0x6569642f)) (then unreachable)) ;; "/die"
        (if (i32.eq (i32.load (i32.load (i32.const 200))) (i32.const 0x6665722f)) (then                ;; "/ref"
            (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 13) (i32.const 7)
                (i32.const 0) (i32.const 0) (i32.const -1)))
            (return (i32.const 1))))
        (if (i32.eq (i32.load (i32.load (i32.const 200))) (i32.const 0x6c6f682f)) (then                ;; "/hol"
            (global.set $held (local.get 0))
            (return (i32.const 1))))
        (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (if (i32.eq (local.get 0) (global.get $held)) (then (return (i32.const 1))))
        (drop (call $header (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 200) (i32.const 204)))
        (if (i32.eq (i32.load (i32.load (i32.const 200))) (i32.const 0x6e6f6c2f)) (then                ;; "/lon"
            (drop (call $set (i32.const 0) (i32.const 0) (local.get 1) (i32.const 5) (i32.const 8)))))
        (i32.const 0))
    (func (export "proxy_on_delete") (param i32)
        (if (i32.eq (local.get 0) (global.get $held)) (then (global.set $left (i32.const 1)))))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 5) (i32.const 8) (i32.load (i32.const 100)) (i32.load (i32.const 104))))
        (if (global.get $held) (then
            (drop (call $add (i32.const 2) (i32.const 20) (i32.const 6) (i32.const 5) (i32.const 1)))))
        (if (global.get $left) (then
            (drop (call $add (i32.const 2) (i32.const 26) (i32.const 6) (i32.const 5) (i32.const 1)))))
        (i32.const 0)))"#;

struct Site {
    folder: tempfile::TempDir,
    filters: Arc<Filters>,
    address: SocketAddr,
}

impl Site {
    /// Starts a server that echoes bodies, behind the filter.
    fn start(configuration: &str) -> Self {
        let (filters, task) = Filters::new(Runtimes::new([Arc::new(WasmiEngine::new()) as _]));
        let (serving, address) = (Arc::clone(&filters), std::sync::mpsc::channel());
        let bound = address.0;
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            LocalSet::new().block_on(&runtime.unwrap(), async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                serving.run(task, listener, echo).await.unwrap();
            });
        });
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            filters,
            address: address.1.recv().unwrap(),
        };
        std::fs::write(site.path("guest.wasm"), wat::parse_str(GUEST).unwrap()).unwrap();
        site.load(configuration).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Loads the filter with this configuration.
    fn load(&self, configuration: &str) -> anyhow::Result<()> {
        let code = self.path("guest.wasm");
        let text = format!(
            "config:\n  name: guest\n  fail_policy: closed\n  configuration: {configuration}\n  vm_config:\n    runtime: wasmi\n    code:\n      local:\n        filename: {}\n",
            code.display()
        );
        std::fs::write(self.path("guest.yaml"), text).unwrap();
        self.filters.load(&[self.path("guest.yaml")])
    }

    /// Sends a request with a body.
    fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close, x-hop\r\nx-hop: 1\r\ncontent-length: 4\r\n\r\nbody"
        )
        .unwrap();
        stream
    }

    /// Sends requests until a response contains `expected`.
    fn post_until(&self, expected: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let response = self.post("/");
            if response.contains(expected) {
                return;
            }
            assert!(Instant::now() < until, "no {expected}: {response}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Sends a request with a body, and returns the whole response.
    fn post(&self, path: &str) -> String {
        let mut stream = self.send(path);
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }
}

/// Returns the request's body, and its fields as `x-echo-` fields.
fn echo(request: Request<Bytes>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(body);
    for (name, value) in &parts.headers {
        let name = HeaderName::try_from(format!("x-echo-{name}")).unwrap();
        response.headers_mut().append(name, value.clone());
    }
    let connection = HeaderValue::from_static("x-secret");
    response.headers_mut().insert(header::CONNECTION, connection);
    response
        .headers_mut()
        .insert("x-secret", HeaderValue::from_static("1"));
    response
}

#[test]
fn requests_and_responses_pass_the_filter() {
    let site = Site::start("first");
    let response = site.post("/");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("x-filter: first\r\n"), "{response}");
    assert!(response.contains("content-length: 4\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nbody"), "{response}");
    let refused = site.post("/refused");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert!(refused.ends_with("\r\n\r\nrefused"), "{refused}");
}

#[test]
fn the_application_gets_the_length_of_the_body_that_filters_made() {
    let response = Site::start("first").post("/longer");
    assert!(response.contains("x-echo-content-length: 8\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nx-filter"), "{response}");
}

#[test]
fn fields_of_a_connection_are_not_passed_on() {
    let response = Site::start("first").post("/");
    assert!(response.contains("x-echo-host: a.example\r\n"), "{response}");
    for field in ["x-echo-connection", "x-echo-x-hop", "x-secret"] {
        assert!(!response.contains(field), "{field}: {response}");
    }
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let site = Site::start("first");
    let mut stream = TcpStream::connect(site.address).unwrap();
    // More is announced than is sent, so that the server has read all of it when it closes the connection.
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; (1 << 20) + 1]).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
}

#[test]
fn a_reload_replaces_the_filter_or_keeps_it() {
    let site = Site::start("first");
    site.load("second").unwrap();
    assert!(site.post("/").contains("x-filter: second\r\n"));
    std::fs::write(site.path("guest.wasm"), "no module").unwrap();
    site.load("third").unwrap_err();
    assert!(site.post("/").contains("x-filter: second\r\n"));
}

#[test]
fn a_vm_that_dies_costs_its_requests_and_is_replaced() {
    let site = Site::start("first");
    for path in ["/die", "/"] {
        let response = site.post(path);
        assert!(response.starts_with("HTTP/1.1 503"), "{path}: {response}");
    }
    site.post_until("x-filter: first\r\n");
}

#[test]
fn a_client_that_leaves_ends_the_stream_that_a_filter_holds() {
    let site = Site::start("first");
    let client = site.send("/hold");
    site.post_until("x-held: x\r\n");
    assert!(
        !site.post("/").contains("x-left"),
        "the filter still holds the request"
    );
    drop(client);
    site.post_until("x-left: x\r\n");
}
