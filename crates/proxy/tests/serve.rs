//! The proxy from end to end: a configuration, guests in text form, sockets.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_config::{Environment, ProxyConfig};
use weir_engine::Engine;
use weir_host::MetricValue;
use weir_proxy::{ConfigSource, Proxy, ProxyError, Runtimes};

/// A test that hangs fails after this; nothing else depends on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The parts that every guest needs.
const COMMON: &str = r#"
    (memory (export "memory") 4)
    (global $heap (mut i32) (i32.const 65536))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32)
        (local $at i32)
        (local.set $at (global.get $heap))
        (global.set $heap (i32.add (global.get $heap) (i32.add (local.get 0) (i32.const 8))))
        (local.get $at))
"#;

/// Adds `x-guest: 1` to requests and `x-seen: 2` to responses.
const HEADERS: &str = r#"
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 0) "x-guest1x-seen2")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 1)))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 8) (i32.const 6) (i32.const 14) (i32.const 1)))
        (i32.const 0))
"#;

/// Replaces the whole body of responses, and adds a trailer to them.
const BODY: &str = r#"
    (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 0) "replaced!x-trailert")
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
        (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
        (drop (call $set (i32.const 1) (i32.const 0) (i32.const 2147483647) (i32.const 0) (i32.const 9)))
        (drop (call $add (i32.const 3) (i32.const 9) (i32.const 9) (i32.const 18) (i32.const 1)))
        (i32.const 0))
"#;

/// Refuses with 403, and marks responses.
const REFUSE: &str = r#"
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 0) "Access forbidden.\nx-marked1")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 18)
            (i32.const 0) (i32.const 0) (i32.const -1)))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 18) (i32.const 8) (i32.const 26) (i32.const 1)))
        (i32.const 0))
"#;

/// Sends each request to `/b/x`, and has its route looked up again.
const REROUTE: &str = r#"
    (import "env" "proxy_replace_header_map_value"
        (func $replace (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function"
        (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 0) ":path/b/xclear_route_cache")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $replace (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 4)))
        (drop (call $call (i32.const 9) (i32.const 17) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 104)))
        (i32.const 0))
"#;

/// Sends each request to `/b/x`, and says nothing of routes.
const REWRITE: &str = r#"
    (import "env" "proxy_replace_header_map_value"
        (func $replace (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 0) ":path/b/x")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $replace (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 4)))
        (i32.const 0))
"#;

/// Traps in the request headers callback.
const TRAP: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)
"#;

/// Holds each request until the next tick.
const HOLD: &str = r#"
    (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (global $held (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $period (i32.const 20)))
        (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (global.set $held (local.get 0))
        (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
        (if (global.get $held) (then
            (drop (call $effective (global.get $held)))
            (drop (call $continue (i32.const 0)))
            (global.set $held (i32.const 0)))))
"#;

/// Counts the VMs in which ticks run: each adds 1 to the metric `vms_that_tick` at its first tick.
const FIRST_TICK: &str = r#"
    (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (data (i32.const 0) "vms_that_tick")
    (global $ticked (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $period (i32.const 10)))
        (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
        (if (global.get $ticked) (then (return)))
        (global.set $ticked (i32.const 1))
        (drop (call $define (i32.const 0) (i32.const 0) (i32.const 13) (i32.const 100)))
        (drop (call $increment (i32.load (i32.const 100)) (i64.const 1))))
"#;

/// Says no to its configuration.
const NO: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))
"#;

/// A folder with guests and a configuration, and the proxy that serves it.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn guest(&self, name: &str, parts: &str) -> &Self {
        // Imports come first in a module.
        let (imports, rest): (Vec<_>, Vec<_>) = split(parts);
        let module = format!("(module {} {COMMON} {})", imports.concat(), rest.concat());
        std::fs::write(self.path(name), wat::parse_str(module).unwrap()).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, yaml: &str) -> &Self {
        std::fs::write(self.path("weir.yaml"), yaml).unwrap();
        self
    }

    fn try_start(&self) -> Result<Proxy, ProxyError> {
        let file = self.path("weir.yaml");
        let source = ConfigSource::new(move || ProxyConfig::load(&file, &Environment::empty()));
        Proxy::start(source, engines())
    }

    fn start(&self) -> (Proxy, SocketAddr) {
        let proxy = self.try_start().unwrap();
        let address = proxy.addresses()[0];
        (proxy, address)
    }
}

fn engines() -> Runtimes {
    let wasmi: Arc<dyn Engine> = Arc::new(weir_engine_wasmi::WasmiEngine::new());
    Runtimes::new([wasmi])
}

/// Splits the text of a module at its top-level parentheses into imports and the rest.
fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let mut parts = Vec::new();
    let (mut depth, mut quoted, mut part) = (0, false, String::new());
    for c in text.chars() {
        part.push(c);
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    parts.push(std::mem::take(&mut part));
                }
            }
            _ => {}
        }
    }
    parts
        .into_iter()
        .partition(|part| part.trim_start().starts_with("(import"))
}

/// A configuration with these filters on one route to `upstream`.
fn yaml(filters: &[&str], upstream: &str, extra: &str) -> String {
    let mut text = format!(
        "listen: 127.0.0.1:0\nworkers: 1\naccess_log: off\nwatch: false\nroutes:\n  - upstream: {upstream}\n"
    );
    if !filters.is_empty() {
        let _ = writeln!(text, "    filters: [{}]\nfilters:", filters.join(", "));
        for filter in filters {
            let _ = writeln!(
                text,
                "  {filter}:\n    config:\n      vm_config: {{ runtime: wasmi, code: {{ local: {{ filename: \
                 {filter}.wasm }} }} }}\n{extra}"
            );
        }
    }
    text
}

/// Sends bytes and reads until the other side closes.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn get(address: SocketAddr) -> String {
    exchange(
        address,
        "GET /path?q HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n",
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The part after the head, as it is on the wire.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn without_filters_the_echo_answers() {
    let site = Site::new();
    let (proxy, address) = site.configure(&yaml(&[], "echo", "")).start();
    let answer = get(address);
    assert_eq!(status(&answer), "200");
    assert_eq!(body(&answer), "GET /path?q HTTP/1.1\nhost: a.example\n\n");
    let answer = exchange(
        address,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
    );
    assert!(answer.ends_with("abc"), "{answer}");
    proxy.shutdown();
}

#[test]
fn a_filter_changes_headers_both_ways() {
    let site = Site::new();
    site.guest("headers.wasm", HEADERS);
    let (proxy, address) = site.configure(&yaml(&["headers"], "echo", "")).start();
    for _ in 0..3 {
        let answer = get(address);
        assert_eq!(status(&answer), "200");
        assert!(answer.contains("\r\nx-seen: 2\r\n"), "{answer}");
        assert!(body(&answer).contains("x-guest: 1\n"), "{answer}");
    }
    proxy.shutdown();
}

#[test]
fn a_body_is_replaced_and_a_trailer_reaches_the_wire() {
    let site = Site::new();
    site.guest("body.wasm", BODY);
    let (proxy, address) = site.configure(&yaml(&["body"], "echo", "")).start();
    let answer = get(address);
    assert_eq!(status(&answer), "200");
    assert!(!answer.contains("content-length"), "{answer}");
    assert_eq!(body(&answer), "9\r\nreplaced!\r\n0\r\nx-trailer: t\r\n\r\n");
    proxy.shutdown();
}

#[test]
fn a_refusal_passes_the_filter_that_gave_it() {
    let site = Site::new();
    site.guest("refuse.wasm", REFUSE);
    let (proxy, address) = site.configure(&yaml(&["refuse"], "echo", "")).start();
    let answer = get(address);
    assert_eq!(status(&answer), "403");
    assert!(answer.contains("\r\ncontent-length: 18\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-marked: 1\r\n"), "{answer}");
    assert_eq!(body(&answer), "Access forbidden.\n");
    proxy.shutdown();
}

/// A filter that a route alone has is not passed by through a change of the path.
#[test]
fn a_new_route_is_taken_only_past_filters_that_have_seen_the_request() {
    let site = Site::new();
    site.guest("refuse.wasm", REFUSE);
    for (module, parts) in [("reroute", REROUTE), ("rewrite", REWRITE)] {
        site.guest("reroute.wasm", parts);
        check_routes(&site, module);
    }
    // A path that no route takes: a filter that asked for a new route gets none, another keeps its own.
    for (parts, expected) in [(REROUTE, "404"), (REWRITE, "200")] {
        site.guest("reroute.wasm", parts);
        let config = format!(
            "listen: 127.0.0.1:0\nworkers: 1\naccess_log: off\nfilters:\n{}routes:\n  - {{ match: {{ path_prefix: /a }}, filters: \
             [reroute], static: {{ body: a }} }}\n",
            filter("reroute"),
        );
        let (proxy, address) = site.configure(&config).start();
        let answer = exchange(address, "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&answer), expected);
        proxy.shutdown();
    }
}

fn check_routes(site: &Site, module: &str) {
    for (filters, expected) in [("[]", "b"), ("[refuse]", "a"), ("[reroute]", "b")] {
        let config = format!(
            "listen: 127.0.0.1:0\nworkers: 1\naccess_log: off\nfilters:\n{}{}routes:\n  - {{ match: {{ path_prefix: /b }}, \
             filters: {filters}, static: {{ body: b }} }}\n  - {{ filters: [reroute], static: {{ body: a }} }}\n",
            filter("reroute"),
            filter("refuse"),
        );
        let (proxy, address) = site.configure(&config).start();
        assert_eq!(body(&get(address)), expected, "{module} {filters}");
        proxy.shutdown();
    }
}

fn filter(name: &str) -> String {
    format!(
        "  {name}: {{ vm_config: {{ runtime: wasmi, code: {{ local: {{ filename: {name}.wasm }} }} }} }}\n"
    )
}

#[test]
fn a_trap_gets_the_fail_policy_and_the_proxy_goes_on() {
    let site = Site::new();
    site.guest("trap.wasm", TRAP);
    let (proxy, address) = site
        .configure(&yaml(&["trap"], "echo", "      fail_open: false"))
        .start();
    assert_eq!(status(&get(address)), "503");
    assert_eq!(status(&get(address)), "503");
    proxy.shutdown();
    let (proxy, address) = site
        .configure(&yaml(&["trap"], "echo", "      fail_open: true"))
        .start();
    assert_eq!(status(&get(address)), "200");
    proxy.shutdown();
}

#[test]
fn a_request_can_be_held_until_a_tick() {
    let site = Site::new();
    site.guest("hold.wasm", HOLD);
    let (proxy, address) = site.configure(&yaml(&["hold"], "echo", "")).start();
    let answer = exchange(
        address,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
    );
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("abc"), "{answer}");
    proxy.shutdown();
}

#[test]
fn ticks_run_in_every_worker_unless_the_filter_wants_one() {
    let site = Site::new();
    site.guest("tick.wasm", FIRST_TICK);
    for (ticks, vms) in [
        ("", 3),
        ("      ticks: one_vm\n", 1),
        ("      ticks: every_vm\n", 3),
    ] {
        site.configure(&yaml(&["tick"], "echo", ticks).replace("workers: 1", "workers: 3"));
        let (proxy, _) = site.start();
        let handle = proxy.handle();
        let ticking = || {
            let metrics = handle.shared().metrics().snapshot();
            let metric = metrics.into_iter().find(|metric| metric.name == "vms_that_tick");
            metric.map(|metric| metric.value)
        };
        let until = Instant::now() + PATIENCE;
        while ticking() != Some(MetricValue::Counter(vms)) {
            assert!(Instant::now() < until, "{ticks}: {:?}", ticking());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        // Time for ticks that should not be.
        std::thread::park_timeout(Duration::from_millis(100));
        assert_eq!(ticking(), Some(MetricValue::Counter(vms)), "{ticks}");
    }
}

#[test]
fn a_filter_that_refuses_its_configuration_is_named_and_the_rest_is_served() {
    let site = Site::new();
    site.guest("no.wasm", NO).guest("headers.wasm", HEADERS);
    let (proxy, address) = site
        .configure(&(yaml(&["no", "headers"], "echo", "      fail_open: true") + "start: lenient\n"))
        .start();
    let refused = proxy.refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].filter, "no");
    assert!(refused[0].to_string().contains("no.wasm"), "{}", refused[0]);
    assert!(get(address).contains("x-seen: 2"));
    proxy.shutdown();
    site.configure(&yaml(&["no", "headers"], "echo", "      fail_open: true"));
    match site.try_start() {
        Err(ProxyError::NotStarted(refused)) => assert_eq!(refused.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_reload_changes_nothing_and_a_good_one_is_served() {
    let site = Site::new();
    site.guest("no.wasm", NO).guest("headers.wasm", HEADERS);
    let (proxy, address) = site.configure(&yaml(&["headers"], "echo", "")).start();
    site.configure(&yaml(&["no"], "echo", ""));
    assert!(matches!(proxy.reload(), Err(ProxyError::Refused(_))));
    site.configure("routes: 7");
    assert!(matches!(proxy.reload(), Err(ProxyError::Config(_))));
    assert!(get(address).contains("x-seen: 2"));
    // A connection that is open stays so, and what it asks next is served by the new configuration.
    let mut open = connect(address);
    site.configure(&yaml(&[], "echo", ""));
    proxy.reload().unwrap();
    assert!(!get(address).contains("x-seen: 2"));
    open.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "200");
    proxy.shutdown();
}

#[test]
fn a_request_goes_to_an_upstream_and_its_answer_comes_back() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = origin.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = origin.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\nhi") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..count]);
        }
        stream
            .write_all(b"HTTP/1.1 201 Made\r\ncontent-length: 2\r\nx-up: 1\r\n\r\nok")
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    let site = Site::new();
    site.guest("headers.wasm", HEADERS);
    let mut text = yaml(&["headers"], "origin", "");
    let _ = writeln!(text, "upstreams:\n  origin: http://{upstream}");
    let (proxy, address) = site.configure(&text).start();
    let answer = exchange(
        address,
        "POST /p HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
    );
    assert_eq!(status(&answer), "201");
    assert!(
        answer.contains("x-up: 1\r\n") && answer.contains("x-seen: 2\r\n"),
        "{answer}"
    );
    assert_eq!(body(&answer), "ok");
    let request = serving.join().unwrap();
    assert!(
        request.starts_with("POST /p HTTP/1.1\r\nhost: a.example\r\n"),
        "{request}"
    );
    assert!(
        request.contains("content-length: 2\r\n") && request.contains("x-guest: 1\r\n"),
        "{request}"
    );
    assert!(!request.contains("connection"), "{request}");
    proxy.shutdown();
}

#[test]
fn an_absent_upstream_is_503() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::new();
    let mut text = yaml(&[], "origin", "");
    let _ = writeln!(text, "upstreams:\n  origin: http://{port}");
    let (proxy, address) = site.configure(&text).start();
    assert_eq!(status(&get(address)), "503");
    proxy.shutdown();
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let site = Site::new();
    let (proxy, address) = site.configure(&yaml(&[], "echo", "")).start();
    for request in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\na",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(status(&exchange(address, request)), "400", "{request}");
    }
    // An absolute target goes before the field (RFC 9112, 3.2.2), which goes no further.
    let answer = exchange(
        address,
        "GET http://b/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert!(
        answer.contains("\nhost: b\n") && !answer.contains("host: a"),
        "{answer}"
    );
    // Both at once is read as the coding, and nothing after it is taken for a request.
    let answer = exchange(
        address,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x \
         HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    proxy.shutdown();
}

#[test]
fn a_shutdown_lets_a_request_under_way_end() {
    let site = Site::new();
    let (proxy, address) = site.configure(&yaml(&[], "echo", "")).start();
    let mut stream = connect(address);
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
        .unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let ending = std::thread::spawn(move || proxy.shutdown());
    stream.write_all(b"cd").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("abcd"), "{rest}");
    ending.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}
