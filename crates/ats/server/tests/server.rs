//! Real servers. Where none is installed each test says so and passes: the suite that needs them for sure is testkit's.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use weir_ats_server::{AtsServer, Installation, Settings};

fn installed(test: &str) -> bool {
    match Installation::find() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED {test}: {error:#}");
            false
        }
    }
}

/// An origin that answers every request with `hello`.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.extend(byte);
            }
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: weir.test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn starts_serves_and_stops() {
    if !installed("starts_serves_and_stops") {
        return;
    }
    let began = Instant::now();
    let mut server = AtsServer::start(&Settings::new().origin(origin())).unwrap();
    eprintln!("ready after {:?}", began.elapsed());
    let answer = get(server.http(), "/");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
    assert!(server.is_alive() && server.https().is_none());
    let (now, most) = server.resident().unwrap();
    assert!(1 << 20 < now && now <= most);
    server.stop().unwrap();
    assert!(!server.is_alive());
    // Ends with the server.
    let mut text = String::new();
    server.follow().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("fully initialized"), "{text}");
}

#[test]
fn plugins_and_files_are_found() {
    if !installed("plugins_and_files_are_found") {
        return;
    }
    let library = Installation::find().unwrap().plugins().join("header_rewrite.so");
    let settings = Settings::new()
        .threads(2)
        .module("mine.so", library)
        .plugin("mine.so global.conf")
        .file(
            "global.conf",
            "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header x-global 1\n",
        )
        .file(
            "rule.conf",
            "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header x-rule 1\n",
        )
        .remap(format!(
            "map / http://{}/ @plugin=mine.so @pparam=rule.conf",
            origin()
        ));
    let server = AtsServer::start(&settings).unwrap();
    let answer = get(server.http(), "/");
    assert!(
        answer.contains("x-global: 1") && answer.contains("x-rule: 1"),
        "{answer}"
    );
}

#[test]
fn a_server_that_does_not_start_says_why() {
    if !installed("a_server_that_does_not_start_says_why") {
        return;
    }
    let began = Instant::now();
    let Err(error) = AtsServer::start(&Settings::new().plugin("no_such_plugin.so")) else {
        panic!("it starts without its plugin");
    };
    let error = format!("{error:#}");
    assert!(error.contains("no_such_plugin.so"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "waited in vain");
}

#[test]
fn a_managed_server_answers_traffic_ctl() {
    if !installed("a_managed_server_answers_traffic_ctl") {
        return;
    }
    let settings = Settings::new()
        .managed(true)
        .remap("map /old http://127.0.0.1:1/");
    let mut server = AtsServer::start(&settings).unwrap();
    assert!(get(server.http(), "/new").starts_with("HTTP/1.1 404"));
    server
        .write("remap.config", format!("map /new http://{}/\n", origin()))
        .unwrap();
    server.ctl(&["config", "reload"]).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !get(server.http(), "/new").ends_with("hello") {
        assert!(Instant::now() < until, "{}", server.log_text());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let error = server.metric("proxy.process.no.such").unwrap_err().to_string();
    assert!(error.contains("proxy.process.no.such"), "{error}");
    let pid = server.pid();
    assert!(server.is_alive());
    server.stop().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn a_dropped_server_is_gone() {
    if !installed("a_dropped_server_is_gone") {
        return;
    }
    for managed in [false, true] {
        let server = AtsServer::start(&Settings::new().managed(managed)).unwrap();
        let (pid, root) = (server.pid(), server.root().to_owned());
        drop(server);
        let until = Instant::now() + Duration::from_secs(10);
        while std::path::Path::new(&format!("/proc/{pid}/exe")).exists() {
            assert!(Instant::now() < until, "{pid} still runs");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        assert!(!root.exists());
    }
}
