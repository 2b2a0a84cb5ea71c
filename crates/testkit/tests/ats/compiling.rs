//! Modules are compiled beside the server: what a module takes there, or does there, leaves the server as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

use crate::{adds, get, values};

/// A server with a small filter and a process document, and without the code cache.
fn config(origin: &Origin, process: &str) -> AtsConfig {
    let mut small = adds("small", "x-small", "1");
    set(&mut small, "fail_open", json!(true));
    let mut config = AtsConfig::new(origin.address()).filter(small);
    config.environment.push(("WEIR_CODE_CACHE".into(), "off".into()));
    config.files.push(("process.yaml".to_owned(), process.to_owned()));
    config.plugin = vec!["wasm.so --config=process.yaml".into()];
    config
}

/// A compiler that does what the script says.
fn script(folder: &Path, text: &str) -> (String, String) {
    let compiler = folder.join("compiler");
    fs::write(&compiler, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    ("WEIR_COMPILER".to_owned(), compiler.display().to_string())
}

#[test]
fn a_module_that_takes_too_long_is_refused_alone() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let module = Guests::costly(folder.path(), "costly").unwrap();
    let mut costly = filter("costly", &module, "wasmtime");
    set(&mut costly, "fail_open", json!(true));
    let config = config(&origin, "compiler: { cpu_time: 1s }\n").filter(costly);
    let ats = Ats::start(&config).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-small"), ["1"], "{}", ats.logs().text());
    let reason = "compiling a module may take (`compiler.cpu_time` = 1 s; used: ";
    assert!(ats.logs().wait_for(reason).is_some(), "{}", ats.logs().text());
    let text = ats.logs().text();
    assert!(!text.contains("weir-compiler is not there"), "{text}");
}

#[test]
fn compilers_that_are_killed_or_give_no_code_end_nothing_else() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (text, reason) in [
        ("kill -KILL $$", "wasmtime's compiler: it was killed"),
        ("echo garbage", "it gives no code: damaged: "),
    ] {
        let mut config = config(&origin, "");
        config.environment.push(script(folder.path(), text));
        let ats = Ats::start(&config).unwrap();
        let response = get(&ats, "/");
        assert_eq!(response.status, 200);
        assert!(values(&response, "x-small").is_empty());
        assert!(ats.logs().wait_for(reason).is_some(), "{}", ats.logs().text());
    }
}

#[test]
fn without_the_program_the_server_compiles_small_modules_itself() {
    let origin = Origin::start().unwrap();
    let missing = ("WEIR_COMPILER".to_owned(), "/nowhere/weir-compiler".to_owned());
    let mut small = config(&origin, "").filter(adds("other", "x-other", "1"));
    small.environment.push(missing.clone());
    let ats = Ats::start(&small).unwrap();
    assert_eq!(values(&get(&ats, "/"), "x-small"), ["1"], "{}", ats.logs().text());
    let warning = "/nowhere/weir-compiler)";
    assert!(ats.logs().wait_for(warning).is_some(), "{}", ats.logs().text());
    let text = ats.logs().text();
    assert_eq!(text.matches(warning).count(), 1, "{text}");
    drop(ats);

    let mut bounded = config(&origin, "compiler: { in_process: 1KiB }\n");
    bounded.environment.push(missing);
    let ats = Ats::start(&bounded).unwrap();
    let response = get(&ats, "/");
    assert!(response.status == 200 && values(&response, "x-small").is_empty());
    let reason = "modules that are compiled inside the server may have 1 KiB (`compiler.in_process`)";
    assert!(ats.logs().wait_for(reason).is_some(), "{}", ats.logs().text());
}
