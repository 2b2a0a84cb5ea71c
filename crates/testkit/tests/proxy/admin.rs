//! The admin pages of `weir serve`.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, LogLine, Origin, PATIENCE, Weir};

use crate::background;

fn admin_address(line: &LogLine) -> Option<SocketAddr> {
    line.message()
        .starts_with("serving the admin pages")
        .then(|| line.field("address")?.parse().ok())?
}

fn page(weir: &Weir, request: &Request) -> Response {
    let found = weir
        .logs()
        .wait(PATIENCE, |lines| lines.iter().find_map(admin_address));
    let address = found.unwrap_or_else(|| panic!("no admin pages:\n{}", weir.logs().text()));
    let outcome = Http1::connect(address).unwrap().request(request).unwrap();
    outcome.response().unwrap()
}

/// Waits until the page of metrics has all of these lines.
fn has_lines(weir: &Weir, wanted: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = page(weir, &Request::get("/metrics")).text();
        let missing = wanted
            .iter()
            .find(|line| !text.lines().any(|found| found == **line));
        let Some(missing) = missing else { return };
        assert!(Instant::now() < until, "{missing} is not in\n{text}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn pages_tell_of_streams_deaths_reloads_and_upstreams() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("misbehave").unwrap();
    let mut block = filter("misbehave", &module, "wasmtime");
    set(&mut block, "fail_open", json!(true));
    let config = Config::new(&origin.url())
        .set("admin", json!(0))
        .set("workers", json!(1))
        .filter("misbehave", block)
        .route("/", &["misbehave"]);
    let mut weir = Weir::start(config.value()).unwrap();
    assert_eq!(page(&weir, &Request::get("/healthz")).status, 200);
    assert_eq!(page(&weir, &Request::get("/readyz")).status, 200);

    let send = |request: &Request| {
        let outcome = Http1::connect(weir.address()).unwrap().request(request).unwrap();
        outcome.response().unwrap().status
    };
    assert_eq!(send(&Request::get("/")), 200);
    let fatal = Request::get("/").header("x-misbehave", "unreachable@request_headers");
    assert_eq!(send(&fatal), 200, "{}", weir.logs().text());
    has_lines(
        &weir,
        &[
            "weir_streams_total 2",
            "weir_streams_open 0",
            "weir_fail_open_total 1",
            "weir_vm_deaths_total{plugin=\"misbehave\",cause=\"trap\"} 1",
            "weir_upstream_requests_total{upstream=\"origin\"} 2",
            "weir_upstream_errors_total{upstream=\"origin\"} 0",
        ],
    );
    // The VM comes back.
    has_lines(
        &weir,
        &[
            "weir_vms{state=\"live\"} 1",
            "weir_vms{state=\"restarting\"} 0",
            "weir_vm_restarts_total 1",
            "weir_vm_started_total 2",
        ],
    );
    let text = page(&weir, &Request::get("/metrics")).text();
    let callbacks =
        "weir_callback_seconds_count{plugin=\"misbehave\",callback=\"proxy_on_request_headers\"} 2";
    assert!(text.lines().any(|line| line == callbacks), "{text}");
    assert!(
        text.contains("\nweir_compile_seconds_count{runtime=\"wasmtime\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("\nweir_vm_memory_bytes{plugin=\"misbehave\"} "),
        "{text}"
    );

    weir.signal("HUP").unwrap();
    has_lines(&weir, &["weir_reloads_total 1", "weir_reload_failures_total 0"]);
    weir.write_config(&json!({ "routes": 7 })).unwrap();
    weir.signal("HUP").unwrap();
    has_lines(&weir, &["weir_reloads_total 1", "weir_reload_failures_total 1"]);

    let open = Request::get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
    let open = page(&weir, &open);
    assert_eq!(
        open.header("content-type").as_deref(),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(
        open.text()
            .contains("\n# TYPE weir_streams counter\nweir_streams_total 2\n")
    );
    assert!(open.text().ends_with("# EOF\n"));
    assert_eq!(page(&weir, &Request::post("/metrics", "")).status, 405);
    assert_eq!(page(&weir, &Request::get("/")).status, 404);
    assert!(weir.stop().unwrap().success());
}

#[test]
fn no_client_is_accepted_before_the_filter_has_started() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Starting takes the trial and the VM a good while each.
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024)
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (local $i i32)
            (loop $more
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $i) (i32.const 600000000))))
            i32.const 1))"#;
    let module = Guests::assemble(folder.path(), "slow", text).unwrap();
    let [port, admin] = [(); 2].map(|()| {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    });
    let config = Config::new(&origin.url())
        .set("admin", json!(admin))
        .set("listeners", json!([{ "address": format!("127.0.0.1:{port}") }]))
        .filter("slow", filter("slow", &module, "wasmtime"))
        .route("/", &["slow"]);
    let on = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let metrics_at_first_connection = std::thread::spawn(move || {
        let until = Instant::now() + PATIENCE;
        while Http1::connect(on(port)).is_err() {
            assert!(Instant::now() < until);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let outcome = Http1::connect(on(admin))
            .unwrap()
            .request(&Request::get("/metrics"));
        outcome.unwrap().response().unwrap().text()
    });
    let weir = Weir::start(config.value()).unwrap();
    let metrics = metrics_at_first_connection.join().unwrap();
    assert!(metrics.contains("\nweir_vms{state=\"live\"} 2\n"), "{metrics}");
    weir.logs().wait_for("listening").unwrap();
}

#[test]
fn limits_cpu_puts_off_only_what_no_stream_waits_for() {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let config = Config::new(&origin.url())
        .set("admin", json!(0))
        .set("workers", json!(1))
        .filter("background", background::document(folder.path(), &origin))
        .route("/", &["background"]);
    let weir = Weir::start(config.value()).unwrap();
    background::only_the_background_is_put_off(weir.address(), weir.logs(), || {
        page(&weir, &Request::get("/metrics")).text()
    });
}
