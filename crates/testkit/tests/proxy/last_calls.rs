//! Calls that a filter makes when it ends.

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Guests, Origin, Weir};

/// The engines on which filters end.
const ENGINES: [&str; 3] = ["wasmtime", "wamr", "wasmi"];

/// Header lines of a call, as guests hand them over.
fn pairs(path: &str) -> Vec<u8> {
    let lines = [(":method", "POST"), (":path", path), (":authority", "origin")];
    let mut bytes = u32::try_from(lines.len()).unwrap().to_le_bytes().to_vec();
    for (name, value) in lines {
        for text in [name, value] {
            bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        }
    }
    for (name, value) in lines {
        for text in [name, value] {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

/// A module that reports to `path` when its plugin context ends. With `waits` it answers false from `proxy_on_done`, and calls
/// `proxy_done` when it has the answer to a first report, after which it sends a second one.
fn reporter(path: &str, waits: bool) -> String {
    let pairs = pairs(path);
    let len = pairs.len();
    let data: String = pairs.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let call = format!(
        "(call $call (i32.const 0) (i32.const 6) (i32.const 16) (i32.const {len}) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 20000) (i32.const 1000))"
    );
    let checked = format!("(if {call} (then unreachable))");
    let answer = if waits {
        format!(
            r#"(global $asked (mut i32) (i32.const 0))
               (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
                 (if (i32.eqz (global.get $asked)) (then
                   (global.set $asked (i32.const 1))
                   {checked}
                   (drop (call $done)))))"#
        )
    } else {
        String::new()
    };
    format!(
        r#"(module
        (import "env" "proxy_http_call" (func $call
          (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_done" (func $done (result i32)))
        (global $plugin (mut i32) (i32.const 0))
        (memory (export "memory") 2)
        (data (i32.const 0) "origin")
        (data (i32.const 16) "{data}")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
        (func (export "proxy_on_context_create") (param $context i32) (param $parent i32)
          (if (i32.eqz (local.get $parent)) (then (global.set $plugin (local.get $context)))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
        {answer}
        (func (export "proxy_on_done") (param $context i32) (result i32)
          ;; Streams end at once.
          (if (i32.ne (local.get $context) (global.get $plugin)) (then (return (i32.const 1))))
          {checked}
          (i32.const {})))"#,
        i32::from(!waits)
    )
}

fn start(engine: &str, path: &str, waits: bool, origin: &Origin) -> (Weir, Config) {
    let name = format!("reporter-{engine}-{waits}");
    let folder = tempfile::tempdir().unwrap();
    let module = Guests::assemble(folder.path(), &name, &reporter(path, waits)).unwrap();
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .set("timeouts", json!({ "drain": "20s" }))
        .filter("reporter", filter("reporter", &module, engine));
    let weir = Weir::start_in(folder, config.clone().route("/", &["reporter"]).value()).unwrap();
    let mut client = Http1::connect(weir.address()).unwrap();
    assert!(client.request(&Request::get("/")).unwrap().response().is_ok());
    (weir, config)
}

fn reports(origin: &Origin, path: &str) -> usize {
    origin
        .records()
        .iter()
        .filter(|record| record.path == path)
        .count()
}

#[test]
fn a_report_of_a_filter_that_a_reload_ends_is_sent() {
    for engine in ENGINES {
        let origin = Origin::start().unwrap();
        let (weir, config) = start(engine, "/last", false, &origin);
        assert_eq!(reports(&origin, "/last"), 0);
        weir.write_config(config.route("/", &[]).set("filters", json!({})).value())
            .unwrap();
        weir.signal("HUP").unwrap();
        assert!(
            origin.wait_for(|record| record.path == "/last").is_some(),
            "{engine}: {}",
            weir.logs().text()
        );
    }
}

#[test]
fn a_report_of_a_filter_that_ends_with_the_proxy_is_sent() {
    for engine in ENGINES {
        let origin = Origin::start().unwrap();
        let (mut weir, _) = start(engine, "/last?delay=200", false, &origin);
        assert!(weir.stop().unwrap().success());
        assert_eq!(
            reports(&origin, "/last?delay=200"),
            1,
            "{engine}: {}",
            weir.logs().text()
        );
    }
}

#[test]
fn a_filter_that_waits_for_an_answer_before_it_ends_gets_it() {
    for engine in ENGINES {
        let origin = Origin::start().unwrap();
        let (mut weir, _) = start(engine, "/last", true, &origin);
        assert!(weir.stop().unwrap().success());
        assert_eq!(reports(&origin, "/last"), 2, "{engine}: {}", weir.logs().text());
    }
}
