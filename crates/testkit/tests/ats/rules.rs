//! Many remap rules, each with a document of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_ats_server::{AtsServer, Settings, plugin_library};
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::set;
use weir_testkit::{Ats, AtsConfig, Origin, PATIENCE};

use crate::{adds, get, values};

/// Rules of a test.
const RULES: usize = 200;

/// A server with a rule for each number below [`RULES`], whose filter says the number; statistics are fresh.
fn with_rules(origin: &Origin, block: impl Fn(usize) -> Value) -> AtsConfig {
    let mut config = AtsConfig::new(origin.address()).record("proxy.config.raw_stat_sync_interval_ms", 50);
    config.plugin.push("stats_over_http.so".to_owned());
    for rule in 0..RULES {
        let file = format!("rule{rule}.yaml");
        config = config.filter_file(&file, &block(rule)).rule(format!(
            "map /{rule}/ {}/ @plugin=wasm.so @pparam={file}",
            origin.url()
        ));
    }
    config
}

/// A filter that says a value. All share a VM.
fn says(name: &str, value: &str) -> Value {
    let mut block = adds(name, "x-rule", value);
    set(&mut block, "vm_config.vm_id", json!("rules"));
    block
}

fn own(rule: usize) -> Value {
    says(&format!("rule{rule}"), &rule.to_string())
}

fn rule_of(ats: &Ats, rule: usize) -> Vec<String> {
    values(&get(ats, &format!("/{rule}/")), "x-rule")
}

/// A counter of the plugin's; 0 before it has been published.
fn counter(ats: &Ats, name: &str) -> u64 {
    let outcome = Http1::connect(ats.address())
        .unwrap()
        .request(&Request::get("/_stats"));
    let page: Value = serde_json::from_slice(&outcome.unwrap().response().unwrap().body).unwrap();
    let value = &page["global"][name];
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or(0)
}

/// Waits until something holds.
fn until(ats: &Ats, what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}\n{}", ats.logs().text());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The server does not say when it begins to read its rules to a plugin that no rule before has loaded. With a VM for each
/// rule that has been read, VMs would be started as often as there are rules.
#[test]
fn rules_are_planned_together() {
    let origin = Origin::start().unwrap();
    let mut config = with_rules(&origin, own);
    config.managed = true;
    let ats = Ats::start(&config).unwrap();
    for rule in [0, 7, RULES - 1] {
        assert_eq!(rule_of(&ats, rule), [rule.to_string()], "{}", ats.logs().text());
    }
    const STARTED: &str = "wasm.weir.vm_started";
    until(&ats, "no VM has been counted", || counter(&ats, STARTED) > 0);
    assert_eq!(counter(&ats, STARTED), 1, "{}", ats.logs().text());

    // A reload in which one rule has changed starts the VM of all rules anew, once; one in which none has starts none.
    ats.write_filter("rule7", &says("rule7", "seven")).unwrap();
    ats.reload().unwrap();
    until(&ats, "the changed rule does not serve", || {
        rule_of(&ats, 7) == ["seven"]
    });
    ats.reload().unwrap();
    until(&ats, "the second reload has not been", || {
        counter(&ats, "wasm.weir.reloads") == 2
    });
    until(&ats, "VMs are not counted", || counter(&ats, STARTED) >= 2);
    assert_eq!(counter(&ats, STARTED), 2, "{}", ats.logs().text());
    assert_eq!(rule_of(&ats, 8), ["8"]);
}

#[test]
fn a_wrong_rule_gets_its_fail_policy_and_the_others_serve() {
    let origin = Origin::start().unwrap();
    let block = |rule| {
        let mut block = own(rule);
        match rule {
            // A key that is none, and a configuration that the filter refuses.
            3 => set(&mut block, "no_such_key", json!(1)),
            5 => set(&mut block, "configuration", json!({ "no_such_rule": 1 })),
            _ => return block,
        }
        set(&mut block, "fail_policy", json!("closed"));
        block.as_object_mut().unwrap().remove("fail_open");
        block
    };
    let ats = Ats::start(&with_rules(&origin, block)).unwrap();
    for rule in [3, 5] {
        assert_eq!(
            get(&ats, &format!("/{rule}/")).status,
            503,
            "{}",
            ats.logs().text()
        );
    }
    for rule in [0, 4, 6, RULES - 1] {
        assert_eq!(rule_of(&ats, rule), [rule.to_string()], "{}", ats.logs().text());
    }
}

#[test]
fn rules_may_have_documents_of_one_name() {
    let origin = Origin::start().unwrap();
    let ats = Ats::start(&with_rules(&origin, |rule| says("same", &rule.to_string()))).unwrap();
    for rule in [0, 1, RULES - 1] {
        assert_eq!(rule_of(&ats, rule), [rule.to_string()], "{}", ats.logs().text());
    }
    let warning = format!("{RULES} filter documents have the name \"same\"");
    assert!(ats.logs().wait_for(&warning).is_some(), "{}", ats.logs().text());
}

/// Rules alone have the server load the library anew once its file is another one.
#[test]
fn a_second_copy_of_the_plugin_is_refused() {
    let origin = Origin::start().unwrap();
    let rule = |path: &str| format!("map /{path}/ {}/ @plugin=wasm.so @pparam=rule.yaml", origin.url());
    let mut config = AtsConfig::new(origin.address())
        .filter_file("rule.yaml", &says("rule", "1"))
        .rule(rule("0"));
    config.managed = true;
    let ats = Ats::start(&config).unwrap();
    assert_eq!(rule_of(&ats, 0), ["1"]);
    let file = ats.server().root().join("modules/wasm.so");
    let library = std::fs::canonicalize(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::copy(library, &file).unwrap();
    let rules = [rule("0"), rule("1")].join("\n");
    ats.server().write("remap.config", format!("{rules}\n")).unwrap();
    ats.reload().unwrap();
    let refused = ats.logs().wait_for("runs another copy of wasm.so already");
    assert!(refused.is_some(), "{}", ats.logs().text());
    assert_eq!(rule_of(&ats, 0), ["1"], "the running copy serves");
}

/// The server counts processors otherwise than the standard library, which heeds CPU masks and quotas.
#[test]
fn every_net_thread_has_a_vm_where_the_process_may_use_one_core() {
    let document = format!("{}", json!({ "config": says("rule", "1") }));
    let settings = Settings::new()
        .wrapper(["taskset", "--cpu-list", "0"])
        .record("proxy.config.exec_thread.autoconfig", 1)
        .patience(PATIENCE)
        .env("WEIR_CODE_CACHE", weir_testkit::code_cache())
        .module("wasm.so", plugin_library().unwrap())
        .file("rule.yaml", document)
        .plugin("wasm.so rule.yaml");
    let server = AtsServer::start(&settings).unwrap();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let name =
        |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("comm"));
    let threads = tasks
        .filter(|task| task.is_ok())
        .map(name)
        .filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("[ET_NET ")));
    let said = format!("threads={} ", threads.count());
    assert!(server.log_text().contains(&said), "{said}\n{}", server.log_text());
}
