//! Modules are compiled beside the proxy: what a module takes there ends its reload, and the proxy serves on.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Guests, Origin, PATIENCE, Weir};

const KEPT: &str = "reload failed, keeping the running";

/// A proxy without filters, and the configuration that adds a filter which is costly to compile.
fn proxy(cpu_time: &str) -> (Origin, Weir, Value) {
    let origin = Origin::start().unwrap();
    let config = || {
        Config::new(&origin.url())
            .set("watch", json!(false))
            .set("compiler", json!({ "cpu_time": cpu_time }))
    };
    let weir = Weir::start(config().route("/", &[]).value()).unwrap();
    let module = Guests::costly(weir.folder(), "costly").unwrap();
    let costly = config().filter("costly", filter("costly", &module, "wasmtime"));
    let config = costly.route("/", &["costly"]).value().clone();
    (origin, weir, config)
}

fn serves(weir: &Weir) {
    let mut client = Http1::connect(weir.address()).unwrap();
    let response = client.request(&Request::get("/")).unwrap().response().unwrap();
    assert_eq!(response.status, 200, "{}", weir.logs().text());
}

/// The line that says why the reload failed.
fn refusal(weir: &Weir) -> String {
    let line = weir.logs().wait_for(KEPT);
    line.unwrap_or_else(|| panic!("{}", weir.logs().text())).text
}

/// The process that compiles.
fn compiler(weir: &Weir) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", weir.pid());
    let tasks = PathBuf::from(children)
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        for task in std::fs::read_dir(&tasks).unwrap().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            if let Some(child) = children.split_whitespace().next() {
                return child.parse().unwrap();
            }
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("nothing compiles:\n{}", weir.logs().text());
}

#[test]
fn a_module_that_takes_too_long_ends_its_reload_alone() {
    let (_origin, weir, costly) = proxy("1s");
    weir.write_config(&costly).unwrap();
    weir.signal("HUP").unwrap();
    compiler(&weir);
    serves(&weir);
    let refusal = refusal(&weir);
    assert!(
        refusal.contains("costly.wasm")
            && refusal.contains("compiling a module may take (`compiler.cpu_time` = 1 s; used: "),
        "{refusal}"
    );
    serves(&weir);
}

#[test]
fn a_compiler_that_is_killed_ends_its_reload_alone() {
    let (_origin, weir, costly) = proxy("60s");
    weir.write_config(&costly).unwrap();
    weir.signal("HUP").unwrap();
    let compiler = compiler(&weir).to_string();
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -KILL {compiler}")])
        .status();
    assert!(killed.unwrap().success());
    let refusal = refusal(&weir);
    let reason = "wasmtime's compiler: it was killed, perhaps because the machine ran out of memory";
    assert!(refusal.contains(reason), "{refusal}");
    serves(&weir);
    // Nothing is wrong with the module, so that it is compiled again.
    weir.signal("HUP").unwrap();
    assert_ne!(self::compiler(&weir).to_string(), compiler);
}

#[test]
fn a_compiler_ends_with_the_proxy() {
    let (_origin, mut weir, costly) = proxy("60s");
    weir.write_config(&costly).unwrap();
    weir.signal("HUP").unwrap();
    let compiler = compiler(&weir);
    weir.signal("KILL").unwrap();
    let until = Instant::now() + PATIENCE;
    while weir.is_alive().unwrap() || is_running(compiler) {
        assert!(
            Instant::now() < until,
            "the compiler {compiler} outlives the proxy"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// True while the process runs, and false once it waits to be reaped.
fn is_running(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
