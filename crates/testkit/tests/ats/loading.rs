//! Loading the plugin, also with files that are missing or wrong.

use std::fs::DirEntry;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_testkit::client::{Http2, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Authority, Guests, Mode, Origin};

use crate::{adds, get, module, request, serves, values};

#[test]
fn filters_run_as_a_global_plugin() {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(adds("first", "x-order", "first"))
        .filter(adds("second", "x-order", "second"));
    let ats = Ats::start(&config).unwrap();
    let response = get(&ats, "/");
    assert_eq!(response.text(), "hello from the origin");
    // Responses go the way back.
    assert_eq!(values(&response, "x-order"), ["second", "first"]);
}

#[test]
fn filters_run_as_a_remap_plugin() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address())
        .rule(format!("map /plain/ {}/", origin.url()))
        .filter(adds("first", "x-order", "first"))
        .filter(adds("second", "x-order", "second"));
    config.mode = Mode::Remap;
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-order"), ["second", "first"]);
    let plain = get(&ats, "/plain/");
    assert!(
        plain.status == 200 && values(&plain, "x-order").is_empty(),
        "{plain:?}"
    );
}

/// Rules have filters of their own beside the global ones.
#[test]
fn filters_run_both_ways_at_once() {
    let origin = Origin::start().unwrap();
    let rule =
        |path: &str, file: &str| format!("map {path} {}/ @plugin=wasm.so @pparam={file}", origin.url());
    let config = AtsConfig::new(origin.address())
        .filter(adds("everywhere", "x-everywhere", "1"))
        .filter_file("one.yaml", &adds("one", "x-rule", "one"))
        .filter_file("other.yaml", &adds("other", "x-rule", "other"))
        .rule(rule("/one/", "one.yaml"))
        .rule(rule("/other/", "other.yaml"));
    let ats = Ats::start(&config).unwrap();
    for (path, rule) in [("/one/", vec!["one"]), ("/other/", vec!["other"]), ("/", vec![])] {
        let response = get(&ats, path);
        assert_eq!(values(&response, "x-rule"), rule, "{path}\n{}", ats.logs().text());
        assert_eq!(values(&response, "x-everywhere"), ["1"], "{path}");
    }
}

#[test]
fn a_file_is_named_by_its_path() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("elsewhere.yaml");
    let document = json!({ "config": adds("elsewhere", "x-seen", "1") });
    std::fs::write(&file, document.to_string()).unwrap();
    let mut config = AtsConfig::new(origin.address());
    config.plugin.push(format!("wasm.so {}", file.display()));
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
}

#[test]
fn filters_run_for_every_protocol_and_thread() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path()).unwrap();
    let mut config = AtsConfig::new(origin.address()).filter(adds("seen", "x-seen", "1"));
    config.threads = 3;
    config.tls = Some(authority.identity("weir.test").unwrap());
    let ats = Ats::start(&config).unwrap();
    for _ in 0..10 {
        let tls = authority.client(&["h2"]).unwrap();
        let mut client = Http2::connect_tls(ats.tls_address().unwrap(), tls, "weir.test").unwrap();
        for outcome in client.requests(&vec![Request::get("/"); 5]).unwrap() {
            assert_eq!(values(&outcome.response().unwrap(), "x-seen"), ["1"]);
        }
        let mut client = Http2::connect(ats.address()).unwrap();
        let response = client.request(&Request::get("/")).unwrap().response().unwrap();
        assert_eq!(values(&response, "x-seen"), ["1"]);
        assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
    }
}

#[test]
fn a_missing_file_is_named_and_traffic_passes() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address());
    config.plugin.push("wasm.so no_such_file.yaml".to_owned());
    let ats = Ats::start(&config).unwrap();
    let line = ats.logs().wait_for("no_such_file.yaml").unwrap();
    assert_eq!(line.level(), "error", "{}", line.text);
    serves(&ats, "/");
}

#[test]
fn a_broken_file_is_named_and_traffic_passes() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address());
    config.plugin.push("wasm.so broken.yaml".to_owned());
    config
        .files
        .push(("broken.yaml".to_owned(), "config: { name: [ }".to_owned()));
    let ats = Ats::start(&config).unwrap();
    let line = ats.logs().wait_for("broken.yaml").unwrap();
    assert_eq!(line.level(), "error", "{}", line.text);
    serves(&ats, "/");
}

#[test]
fn a_broken_module_gets_the_fail_policy() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, "no module").unwrap();
    for (open, status) in [(true, 200), (false, 503)] {
        for mode in [Mode::Global, Mode::Remap] {
            let mut block = filter("broken", &broken, "wasmtime");
            set(&mut block, "fail_open", json!(open));
            let mut config = AtsConfig::new(origin.address()).filter(block);
            config.mode = mode;
            let ats = Ats::start(&config).unwrap();
            let line = ats.logs().wait_for("broken.wasm").unwrap();
            assert_eq!(line.level(), "error", "{}", line.text);
            let response = get(&ats, "/");
            assert_eq!(response.status, status, "{mode:?}\n{}", ats.logs().text());
        }
    }
}

/// The rest of a chain serves, whatever becomes of one filter.
#[test]
fn a_broken_filter_does_not_take_others_along() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address());
    config = config.filter_file("good.yaml", &adds("good", "x-seen", "1"));
    config
        .plugin
        .push("wasm.so no_such_file.yaml good.yaml".to_owned());
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"], "{}", ats.logs().text());
}

#[test]
fn a_rule_without_a_file_is_refused() {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address()).rule(format!("map /x/ {}/ @plugin=wasm.so", origin.url()));
    // The server makes of it what it makes of any rule that is wrong.
    let text = match Ats::start(&config) {
        Ok(ats) => ats.logs().text(),
        Err(error) => format!("{error:#}"),
    };
    let refused = text.lines().any(|line| line.contains("@pparam"));
    assert!(refused, "nothing says that @pparam is missing:\n{text}");
}

/// A rule whose document is wrong serves at start, by its fail policy, and does not pass a check.
#[test]
fn verify_config_fails_for_a_rule_with_a_wrong_document() {
    let origin = Origin::start().unwrap();
    let good = adds("good", "x-seen", "1");
    let mut wrong = adds("wrong", "x-seen", "1");
    set(&mut wrong, "nonsense", json!(true));
    for (block, is_right) in [(&good, true), (&wrong, false)] {
        let config = AtsConfig::new(origin.address())
            .filter_file("rule.yaml", block)
            .rule(format!(
                "map /x/ {}/ @plugin=wasm.so @pparam=rule.yaml",
                origin.url()
            ));
        let ats = Ats::start(&config).unwrap();
        let (passed, printed) = ats.server().verify_config().unwrap();
        assert_eq!(passed, is_right, "{printed}");
    }
}

#[test]
fn a_filter_without_a_fail_policy_is_noted() {
    let origin = Origin::start().unwrap();
    let mut block = adds("seen", "x-seen", "1");
    block.as_object_mut().unwrap().remove("fail_open");
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(block)).unwrap();
    let noted = ats
        .logs()
        .wait_for("filter seen: no `fail_policy`, so it is open");
    assert!(noted.is_some(), "{}", ats.logs().text());
}

#[test]
fn two_of_one_name_are_refused() {
    let origin = Origin::start().unwrap();
    let block = |file| {
        let mut block = adds("twice", "x-file", file);
        set(&mut block, "fail_open", json!(true));
        block
    };
    let config = AtsConfig::new(origin.address())
        .filter_file("one.yaml", &block("one"))
        .filter_file("other.yaml", &block("other"));
    for lines in [vec!["one.yaml other.yaml"], vec!["one.yaml", "other.yaml"]] {
        let mut config = config.clone();
        for line in lines {
            config.plugin.push(format!("wasm.so {line}"));
        }
        let ats = Ats::start(&config).unwrap();
        let refused = ats.logs().wait(weir_testkit::PATIENCE, |lines| {
            let line = lines
                .iter()
                .find(|line| line.level() == "error" && line.message().contains("twice"))?;
            Some(line.message().to_owned())
        });
        let message = refused.unwrap_or_else(|| panic!("not refused:\n{}", ats.logs().text()));
        assert!(message.contains("other.yaml"), "{message}");
        assert_eq!(values(&get(&ats, "/"), "x-file"), ["one"]);
    }
}

/// Logs without debug tags: warnings and errors are there, the rest is not.
#[test]
fn warnings_are_seen_without_debug_output() {
    let origin = Origin::start().unwrap();
    let mut block = filter("misbehave", &module("misbehave"), "wasmtime");
    set(&mut block, "fail_open", json!(true));
    let config = AtsConfig::new(origin.address())
        .filter(block)
        .record("proxy.config.diags.debug.enabled", 0);
    let ats = Ats::start(&config).unwrap();
    let panics = Request::get("/").header("x-misbehave", "panic@request_headers");
    assert_eq!(request(ats.address(), &panics).status, 200);
    ats.logs().wait_for("told to panic in request_headers").unwrap();
    let diags = std::fs::read_to_string(ats.server().diags_log()).unwrap();
    assert!(diags.contains("[wasm]"), "{diags}");
    assert!(!ats.logs().text().contains("(wasm)"), "{}", ats.logs().text());
}

#[test]
fn a_broken_file_gets_its_fail_policy() {
    let origin = Origin::start().unwrap();
    for (key, value) in [
        ("vm_config.code.local.filename", json!("no_such.wasm")),
        ("vm_config.runtime", json!("no_such_runtime")),
        ("no_such_key", json!(1)),
    ] {
        for (policy, status) in [("open", 200), ("closed", 503)] {
            let mut broken = adds("broken", "x-broken", "1");
            set(&mut broken, "fail_policy", json!(policy));
            set(&mut broken, key, value.clone());
            let ats = Ats::start(&AtsConfig::new(origin.address()).filter(broken)).unwrap();
            assert_eq!(
                get(&ats, "/").status,
                status,
                "{key} {policy}\n{}",
                ats.logs().text()
            );
        }
    }
}

/// Files of compiled code in a folder.
fn code_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).map_or(Vec::new(), |entries| entries.flatten().collect());
    let is_code = |entry: &&DirEntry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "code")
    };
    entries.iter().filter(is_code).count()
}

#[test]
fn compiled_code_is_kept_in_the_configured_folder() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("code");
    let mut config = AtsConfig::new(origin.address()).filter(adds("adds", "x-seen", "1"));
    config.environment.push(("WEIR_CODE_CACHE".into(), String::new()));
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
    let below_root = find(ats.server().root(), "weir").expect("a folder of the server's");
    assert_eq!(code_in(&below_root), 1);

    config
        .plugin
        .push(format!("wasm.so --code-cache={}", named.display()));
    // The second finds what the first has made.
    for _ in 0..2 {
        let ats = Ats::start(&config).unwrap();
        assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
        assert_eq!(find(ats.server().root(), "weir"), None);
        assert_eq!(code_in(&named), 1);
        let started = format!(
            "1 filter documents, 1 VMs on each of 1 net threads, code cache in {}",
            named.display()
        );
        assert!(ats.logs().wait_for(&started).is_some(), "{}", ats.logs().text());
        let text = ats.logs().text();
        let others = text
            .lines()
            .filter(|line| line.contains("[wasm]") && !line.contains(&started));
        assert_eq!(others.count(), 0, "{text}");
    }

    config.plugin = vec![
        "wasm.so --code-cache=relative --wasmtime=fuel".into(),
        "wasm.so --wasmtime=epochs --wasmtime=fuel".into(),
        "wasm.so --code-cache=off".into(),
    ];
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
    assert!(
        ats.logs()
            .wait_for("expected an absolute folder, or `off`")
            .is_some()
    );
    assert_eq!(find(ats.server().root(), "weir"), None);
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A filter that logs a warning and an error when it is configured.
fn loud(folder: &Path) -> Value {
    let text = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "a guest's warning")
        (data (i32.const 32) "a guest's error")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024)
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $log (i32.const 3) (i32.const 0) (i32.const 17)))
            (drop (call $log (i32.const 4) (i32.const 32) (i32.const 15)))
            i32.const 1))"#;
    let module = Guests::assemble(folder, "loud", text).unwrap();
    filter("loud", &module, "wasmtime")
}

#[test]
fn a_process_document_holds_for_the_server_and_flags_take_its_place() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (documented, flag) = (folder.path().join("documented"), folder.path().join("flag"));
    let (port, other) = (free_port(), free_port());
    let document = format!(
        "admin: {port}\ncode_cache: {}\nlog_level: error\n",
        documented.display()
    );
    let mut config = AtsConfig::new(origin.address()).filter(loud(folder.path()));
    config.environment.push(("WEIR_CODE_CACHE".into(), String::new()));
    config.files.push(("process.yaml".to_owned(), document));
    let page = |port: u16| request((Ipv4Addr::LOCALHOST, port).into(), &Request::get("/metrics"));

    config.plugin = vec!["wasm.so --config=process.yaml".into()];
    let ats = Ats::start(&config).unwrap();
    assert_eq!(get(&ats, "/").status, 200);
    assert_eq!(page(port).status, 200, "{}", ats.logs().text());
    assert_eq!(code_in(&documented), 1);
    assert_eq!(find(ats.server().root(), "weir"), None);
    ats.logs().wait_for("a guest's error").unwrap();
    assert!(
        !ats.logs().text().contains("a guest's warning"),
        "{}",
        ats.logs().text()
    );
    drop(ats);

    config.plugin = vec![format!(
        "wasm.so --metrics=127.0.0.1:{other} --config=process.yaml --code-cache={}",
        flag.display()
    )];
    let ats = Ats::start(&config).unwrap();
    assert_eq!(get(&ats, "/").status, 200);
    assert_eq!(page(other).status, 200, "{}", ats.logs().text());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    assert_eq!(code_in(&flag), 1);
}

#[test]
fn a_broken_process_document_is_named_and_traffic_passes() {
    let origin = Origin::start().unwrap();
    let port = free_port();
    let mut config = AtsConfig::new(origin.address()).filter(adds("adds", "x-seen", "1"));
    config
        .files
        .push(("broken.yaml".to_owned(), format!("admin: {port}\nroutes: []\n")));
    config
        .files
        .push(("good.yaml".to_owned(), format!("admin: {port}\n")));
    config.plugin = vec![
        "wasm.so --config=broken.yaml --confg=good.yaml".into(),
        "wasm.so --config=good.yaml".into(),
    ];
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-seen"), ["1"]);
    for message in [
        "broken.yaml:2:1: routes: a key of weir serve",
        "the process document is not used; flags and defaults hold",
        "wasm.so --confg: unknown; known: --config=FILE",
        "wasm.so --config: has no effect, it was given or used before",
    ] {
        let line = ats
            .logs()
            .wait_for(message)
            .unwrap_or_else(|| panic!("{message}"));
        assert_eq!(line.level(), "error", "{}", line.text);
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn a_missing_process_document_is_named_and_traffic_passes() {
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address());
    config
        .plugin
        .push("wasm.so --config=no_such_process.yaml".to_owned());
    let ats = Ats::start(&config).unwrap();
    let line = ats.logs().wait_for("there is no such file").unwrap();
    assert!(
        line.level() == "error" && line.text.contains("no_such_process.yaml"),
        "{}",
        line.text
    );
    serves(&ats, "/");
}

/// A small filter on the runtime that compiles in a process of its own, with this program for its compiler.
fn on_wamr_jit(folder: &Path, compiler: &Path) -> (Origin, AtsConfig) {
    let origin = Origin::start().unwrap();
    let module = Guests::assemble(folder, "mortal", include_str!("../guests/mortal.wat")).unwrap();
    let mut jit = filter("jit", &module, "wamr-jit");
    set(&mut jit, "fail_open", json!(true));
    let mut config = AtsConfig::new(origin.address())
        .filter(jit)
        .filter(adds("other", "x-other", "1"));
    config.environment = vec![
        ("WEIR_WAMR_COMPILER".into(), compiler.display().to_string()),
        ("WEIR_CODE_CACHE".into(), "off".into()),
    ];
    (origin, config)
}

#[test]
fn llvm_compiles_in_a_process_of_its_own() {
    let Some(compiler) = std::env::var_os("WEIR_WAMR_COMPILER").map(PathBuf::from) else {
        panic!("cargo sets it");
    };
    if !compiler.is_file() {
        eprintln!("not tested: `cargo xtask wamr-compiler` makes the compiler");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_origin, config) = on_wamr_jit(folder.path(), &compiler);
    let ats = Ats::start(&config).unwrap();
    let response = get(&ats, "/");
    assert_eq!(
        values(&response, "x-seen"),
        ["configured"],
        "{}",
        ats.logs().text()
    );
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", ats.server().pid())).unwrap();
    assert!(!maps.contains("libLLVM"), "{maps}");
}

/// LLVM ends its process where it finds something that it cannot do.
#[test]
fn a_compiler_that_breaks_down_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let compiler = folder.path().join("compiler");
    // The program gives code for the empty module that it is tried with.
    let script = "#!/bin/sh\nulimit -c 0\n[ $(head -c 9 | wc -c) = 8 ] || kill -ABRT $$\nprintf '\\0aot'\n";
    std::fs::write(&compiler, script).unwrap();
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_origin, config) = on_wamr_jit(folder.path(), &compiler);
    let ats = Ats::start(&config).unwrap();
    let response = get(&ats, "/");
    assert!(values(&response, "x-seen").is_empty());
    assert_eq!(values(&response, "x-other"), ["1"]);
    let text = ats.logs().text();
    assert!(
        text.contains("WAMR's compiler: it crashed (signal: 6 (SIGABRT)"),
        "{text}"
    );
}

/// A folder of this name, at any depth.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.find_map(|entry| {
        if entry.file_name() == name {
            Some(entry.path())
        } else {
            find(&entry.path(), name)
        }
    })
}
