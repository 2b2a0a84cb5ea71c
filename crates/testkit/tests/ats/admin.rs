//! The admin pages of the plugin.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use weir_testkit::client::Request;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE};

use crate::{background, get, module, request};

#[test]
fn pages_tell_of_readiness_streams_and_deaths() {
    let origin = Origin::start().unwrap();
    let port = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let mut block = filter("misbehave", &module("misbehave"), "wasmtime");
    set(&mut block, "fail_open", serde_json::json!(true));
    let mut config = AtsConfig::new(origin.address()).filter(block);
    config.plugin.push(format!("wasm.so --metrics=127.0.0.1:{port}"));
    let ats = Ats::start(&config).unwrap();
    let page = |sent: &Request| request((Ipv4Addr::LOCALHOST, port).into(), sent);

    assert_eq!(page(&Request::get("/healthz")).status, 200);
    let ready = page(&Request::get("/readyz"));
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert_eq!(get(&ats, "/").status, 200);
    let fatal = Request::get("/").header("x-misbehave", "unreachable@request_headers");
    assert_eq!(request(ats.address(), &fatal).status, 200);

    let wanted = [
        "weir_streams_total 2",
        "weir_streams_open 0",
        "weir_fail_open_total 1",
        "weir_vm_died_total 1",
        "weir_vm_deaths_total{plugin=\"misbehave\",cause=\"trap\"} 1",
        "weir_vms{state=\"restarting\"} 0",
        "weir_vm_restarts_total 1",
        "weir_callback_seconds_count{plugin=\"misbehave\",callback=\"proxy_on_request_headers\"} 2",
    ];
    let until = Instant::now() + PATIENCE;
    loop {
        let text = page(&Request::get("/metrics")).text();
        let missing = wanted
            .iter()
            .find(|line| !text.lines().any(|found| found == **line));
        let Some(missing) = missing else { break };
        assert!(Instant::now() < until, "{missing} is not in\n{text}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let open = Request::get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
    assert!(page(&open).text().ends_with("# EOF\n"));
    // The guest's own gauge, by its name.
    assert!(page(&Request::get("/metrics")).text().contains("\n# TYPE wasm_"));
    assert_eq!(page(&Request::post("/metrics", "")).status, 405);
    assert_eq!(get(&ats, "/").status, 200, "{}", ats.logs().text());
}

#[test]
fn limits_cpu_puts_off_only_what_no_stream_waits_for() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let port = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let mut config = AtsConfig::new(origin.address()).filter(background::document(folder.path(), &origin));
    config.threads = 1;
    config.plugin.push(format!("wasm.so --metrics=127.0.0.1:{port}"));
    let ats = Ats::start(&config).unwrap();
    background::only_the_background_is_put_off(ats.address(), ats.logs(), || {
        request((Ipv4Addr::LOCALHOST, port).into(), &Request::get("/metrics")).text()
    });
}
