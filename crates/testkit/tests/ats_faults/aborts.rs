//! Clients that go away, and origins that fail, while filters hold the stream; the filters let go later, of what may be gone.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::set;
use weir_testkit::{AtsConfig, Mode, Origin, RawOrigin, blackhole, refused_port};

use super::*;

/// The callback in which the filter holds the stream, and the cause of its release.
const HELD: [&str; 9] = [
    "",
    "hold@request_headers",
    "hold_call@request_headers",
    "hold@request_body",
    "hold_call@request_body",
    "hold@response_headers",
    "hold_call@response_headers",
    "hold@response_body",
    "hold_call@response_body",
];

/// The wait of clients before they go: not at all, while the filter holds, while or after it lets go.
const PATIENCES: [u64; 3] = [0, 10, 45];

fn filtered(origin: SocketAddr, calls: SocketAddr, mode: Mode) -> AtsConfig {
    let mut block = misbehaving("misbehave", "/", false);
    set(&mut block, "configuration", json!("upstream=calls"));
    set(&mut block, "upstreams.calls", json!(format!("http://{calls}")));
    let mut config = AtsConfig::new(origin).filter(block);
    config.mode = mode;
    config.threads = 2;
    config
}

/// Sends bytes on a connection of its own, waits, and is gone.
fn leave(address: SocketAddr, bytes: &str, read: usize, patience: Duration) {
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    client.write_all(bytes.as_bytes()).unwrap();
    if read > 0 {
        let came = client.read(&mut vec![0; read]);
        assert!(came.is_ok(), "nothing came: {bytes}");
    }
    std::thread::park_timeout(patience);
}

fn http1_clients_leave(address: SocketAddr, rules: &str, patience: Duration) {
    let head = |line: &str, fields: &str| {
        format!("{line} HTTP/1.1\r\nhost: a\r\nx-misbehave: {rules}\r\n{fields}\r\n")
    };
    let chunked = "transfer-encoding: chunked\r\n";
    for (bytes, read) in [
        // Before the head is whole, after it, in the body, when all is sent.
        ("GET / HTTP/1.1\r\nhost: a\r\n".to_owned(), 0),
        (head("GET /?delay=20", ""), 0),
        (head("GET /?chunk=one&chunk=two&delay=20", ""), 0),
        (head("POST /", "content-length: 6\r\n"), 0),
        (head("POST /", "content-length: 6\r\n") + "one", 0),
        (head("POST /", chunked) + "3\r\none\r\n", 0),
        (head("POST /", "content-length: 6\r\n") + "onetwo", 0),
        // In the response.
        (head("GET /?size=1000000", ""), 1000),
        (
            head("POST /?size=1000000", "content-length: 6\r\n") + "onetwo",
            1000,
        ),
    ] {
        // A stream that is held waits for its own time, and there is nothing to be read yet.
        leave(
            address,
            &bytes,
            if patience.is_zero() { 0 } else { read },
            patience,
        );
    }
}

fn http2_clients_leave(address: SocketAddr, rules: &str, patience: Duration) {
    for (path, body) in [
        ("/?delay=20", None),
        ("/?chunk=one&chunk=two&delay=20", None),
        ("/", Some(("one", false))),
        ("/", Some(("onetwo", true))),
        ("/?size=1000000", None),
        ("/?size=1000000", Some(("onetwo", true))),
    ] {
        // A connection for each: where a response is in a transform, Traffic Server before its change 13523 stops reading the
        // whole connection when one stream is reset, whatever the plugin does.
        Streams::connect(address).abandon(path, rules, body, patience);
    }
}

fn clients_leave(mode: Mode) {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let server = Server::start(filtered(origin.address(), calls.address(), mode));
    let address = server.ats().address();
    std::thread::scope(|scope| {
        for rules in HELD {
            scope.spawn(move || {
                for patience in PATIENCES {
                    let patience = Duration::from_millis(patience);
                    http1_clients_leave(address, rules, patience);
                    http2_clients_leave(address, rules, patience);
                }
            });
        }
    });
    server.settles();
    for protocol in PROTOCOLS {
        for rules in HELD {
            let outcome = send(address, protocol, &told(protocol, "/", rules));
            assert!(is(&outcome, 200, "onetwo"), "{protocol:?} {rules}: {outcome:?}");
        }
    }
    server.settles();
    assert_eq!(
        server.stat("wasm.weir.vm_died"),
        0,
        "{}",
        server.ats().logs().text()
    );
}

/// The filter never lets go, and its deadline is far away: the stream ends because its client is gone.
fn streams_end_when_their_clients_leave(mode: Mode) {
    let (origin, calls) = (Origin::start().unwrap(), Origin::start().unwrap());
    let mut config = filtered(origin.address(), calls.address(), mode);
    set(&mut config.filters[0], "limits.stream_deadline", json!("1h"));
    let server = Server::start(config);
    for callback in [
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
    ] {
        for request in [
            "GET /?chunk=one&chunk=two HTTP/1.1\r\nhost: a\r\n",
            "POST /?chunk=one&chunk=two HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
        ] {
            let body = match request {
                _ if request.starts_with("GET") => "",
                _ if request.contains("chunked") => "3\r\none\r\n0\r\n\r\n",
                _ => "onetwo",
            };
            let bytes = format!("{request}x-misbehave: pause@{callback}\r\n\r\n{body}");
            leave(server.ats().address(), &bytes, 0, Duration::from_millis(100));
        }
    }
    server.settles();
    assert_eq!(server.stat("wasm.weir.stream_deadlines"), 0);
}

#[test]
fn streams_of_plugin_config_end_when_their_clients_leave() {
    streams_end_when_their_clients_leave(Mode::Global);
}

#[test]
fn streams_of_a_remap_rule_end_when_their_clients_leave() {
    streams_end_when_their_clients_leave(Mode::Remap);
}

#[test]
fn clients_leave_filters_of_plugin_config() {
    clients_leave(Mode::Global);
}

#[test]
fn clients_leave_filters_of_a_remap_rule() {
    clients_leave(Mode::Remap);
}

/// An origin that answers with these bytes, whatever is asked, and closes.
fn says(bytes: &'static str) -> SocketAddr {
    let origin = RawOrigin::start(move |mut stream| {
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok() {
            // The other side may have gone.
            let _ = stream.write_all(bytes.as_bytes());
        }
    });
    origin.unwrap().address()
}

/// Origins that fail, and the statuses that a client may see of it; 0 for a response that is broken off.
fn failing() -> Vec<(&'static str, SocketAddr, &'static [u16])> {
    vec![
        ("refuses", refused_port(), &[502]),
        ("closes", says(""), &[502]),
        ("half a head", says("HTTP/1.1 200 OK\r\ncontent-le"), &[502]),
        // Which is HTTP/0.9.
        // Which is HTTP/0.9.
        ("no HTTP", says("SSH-2.0-OpenSSH\r\n"), &[502, 200]),
        (
            "half a body",
            says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
            &[0, 502],
        ),
        (
            "half a chunk",
            says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf"),
            &[0, 502],
        ),
    ]
}

fn origins_fail(mode: Mode) {
    let calls = Origin::start().unwrap();
    let healthy = Origin::start().unwrap();
    let (stalled, failing) = (blackhole().unwrap(), failing());
    let mut config = filtered(healthy.address(), calls.address(), mode);
    for (number, (_, address, _)) in failing.iter().enumerate() {
        config = config.rule(rule(mode, number, *address));
    }
    config = config.rule(rule(mode, failing.len(), stalled.local_addr().unwrap()));
    config = config
        .record("proxy.config.http.connect_attempts_timeout", 1)
        .record("proxy.config.http.transaction_no_activity_timeout_out", 1);
    let server = Server::start(config);
    let address = server.ats().address();
    let mut wrong = Vec::new();
    for (number, (name, _, statuses)) in failing.iter().enumerate() {
        for protocol in PROTOCOLS {
            for rules in HELD
                .into_iter()
                .chain(["reply@response_headers", "reply@response_body"])
            {
                let path = format!("/{number}/");
                for request in [
                    Request::get(&path).header("x-misbehave", rules),
                    told(protocol, &path, rules),
                ] {
                    let outcome = send(address, protocol, &request);
                    let status = status(&outcome);
                    let replied = rules.starts_with("reply") && status == 418;
                    // Traffic Server ends a stream of HTTP/2 as if all had come, without any plugin too.
                    let cut = name.starts_with("half a ") && protocol == Protocol::Http2 && status == 200;
                    if !(replied || cut || statuses.contains(&status)) {
                        wrong.push(format!(
                            "{name} {protocol:?} {rules} {}: {outcome:?}",
                            request.method
                        ));
                    }
                }
            }
        }
    }
    // The origin that stalls: clients give up, or the server does.
    let path = format!("/{}/", failing.len());
    std::thread::scope(|scope| {
        for rules in HELD {
            let path = &path;
            scope.spawn(move || {
                for protocol in PROTOCOLS {
                    let outcome = send(address, protocol, &told(protocol, path, rules));
                    assert!(
                        matches!(status(&outcome), 502 | 504),
                        "{protocol:?} {rules}: {outcome:?}"
                    );
                }
                let get = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-misbehave: {rules}\r\n\r\n");
                leave(address, &get, 0, Duration::from_millis(50));
                Streams::connect(address).abandon(path, rules, None, Duration::from_millis(50));
            });
        }
    });
    assert!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        server.ats().logs().text()
    );
    server.settles();
    let response = Http1::connect(address).unwrap().request(&Request::get("/"));
    assert_eq!(status(&response.unwrap()), 200);
    assert_eq!(server.stat("wasm.weir.vm_died"), 0);
}

fn rule(mode: Mode, number: usize, origin: SocketAddr) -> String {
    let plugin = match mode {
        Mode::Global => "",
        Mode::Remap => " @plugin=wasm.so @pparam=misbehave.yaml",
    };
    format!("map /{number}/ http://{origin}/{plugin}")
}

#[test]
fn origins_fail_behind_filters_of_plugin_config() {
    origins_fail(Mode::Global);
}

#[test]
fn origins_fail_behind_filters_of_a_remap_rule() {
    origins_fail(Mode::Remap);
}
