//! Modules and configurations that cannot be used are refused with file and reason; the rest serves.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Guests, Origin, Weir, repository, usable_runtimes};

/// The texts of `filters/guests/FOLDER`, by name.
fn texts(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(repository().join("filters/guests").join(folder)).unwrap();
    let mut texts: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    texts.sort();
    assert!(!texts.is_empty());
    texts
}

fn get(weir: &Weir, path: &str) -> Response {
    Http1::connect(weir.address())
        .unwrap()
        .request(&Request::get(path))
        .unwrap()
        .response()
        .unwrap()
}

/// The words of a broken module's refusal, besides its file.
fn reason(name: &str) -> &'static [&'static str] {
    match name {
        "configure_false" => &["proxy_on_configure", "false"],
        "vm_start_false" => &["proxy_on_vm_start", "false"],
        "exit_in_start" => &["proc_exit(3)"],
        "hostcall_in_start" => &["proxy_set_shared_data"],
        "memory_too_large" => &["memory", "limit"],
        "no_allocator" => &["malloc", "proxy_on_memory_allocate"],
        "no_marker" => &["proxy_abi_version_"],
        "no_memory" => &["memory"],
        "trap_in_initialize" => &["_initialize"],
        "trap_in_start" => &["start"],
        "unknown_import" => &["proxy_no_such_call", "no_such_function", "elsewhere.anything"],
        "wrong_import_type" => &["proxy_"],
        "not_wasm" | "truncated" | "empty" => &[],
        other => panic!("nothing is known of the broken guest {other}: say here what its refusal must say"),
    }
}

/// The broken modules, assembled into `folder`, and some that are no modules.
fn broken(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut modules: Vec<_> = texts("broken")
        .into_iter()
        .map(|(name, text)| (name.clone(), Guests::assemble(folder, &name, &text).unwrap()))
        .collect();
    let whole = fs::read(Guests::build().unwrap().filter("prime-token").unwrap()).unwrap();
    for (name, bytes) in [
        ("not_wasm", &b"#!/bin/sh\nexit 0\n"[..]),
        ("truncated", &whole[..whole.len() / 2]),
        ("empty", b""),
    ] {
        let path = folder.join(format!("{name}.wasm"));
        fs::write(&path, bytes).unwrap();
        modules.push((name.to_owned(), path));
    }
    modules
}

#[test]
fn broken_modules_are_refused_and_the_rest_serves() {
    for engine in usable_runtimes() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::start().unwrap();
        let modules = broken(folder.path());
        let good = Guests::build().unwrap().filter("prime-token").unwrap();
        let mut config = Config::new(&origin.url())
            .set("start", json!("lenient"))
            .filter("good", filter("good", &good, engine))
            .route("/good", &["good"])
            .route("/plain", &[]);
        for (name, module) in &modules {
            config = config
                .filter(name, filter(name, module, engine))
                .route(&format!("/{name}"), &[name]);
        }
        let mut weir = Weir::start_in(folder, config.value()).unwrap();
        let log = weir.logs().text();
        for (name, _) in &modules {
            let file = format!("{name}.wasm");
            let line = weir
                .logs()
                .lines()
                .into_iter()
                .find(|line| line.level() == "error" && line.text.contains(&file));
            let line = line.unwrap_or_else(|| panic!("{engine}: no refusal of {file}:\n{log}"));
            for part in reason(name) {
                assert!(
                    line.message().contains(part),
                    "{engine}: {name}: no `{part}` in {}",
                    line.message()
                );
            }
            assert_eq!(get(&weir, &format!("/{name}")).status, 503, "{engine}: {name}");
        }
        assert_eq!(get(&weir, "/plain").status, 200);
        assert_eq!(get(&weir, "/good").status, 403);
        assert!(weir.is_alive().unwrap());
    }
}

#[test]
fn a_strict_start_ends_with_one_message() {
    let origin = Origin::start().unwrap();
    for engine in usable_runtimes() {
        let folder = tempfile::tempdir().unwrap();
        let misbehave = Guests::build().unwrap().filter("misbehave").unwrap();
        let mut block = filter("traps", &misbehave, engine);
        set(&mut block, "configuration", json!("unreachable@configure"));
        let config = Config::new(&origin.url())
            .filter("traps", block)
            .route("/a", &["traps"])
            .route("/b", &["traps"]);
        let log = Weir::refused(folder.path(), config.value()).unwrap();
        // The trial's log has told of the death; the refusal is told once, though two routes name the filter.
        assert_eq!(
            log.matches("proxy_on_configure failed").count(),
            1,
            "{engine}:\n{log}"
        );
        assert!(log.matches("backtrace").count() <= 1, "{engine}:\n{log}");
        assert!(log.contains("`start: lenient`"), "{engine}:\n{log}");
        // With that key the rest serves.
        let config = config.set("start", json!("lenient")).route("/plain", &[]);
        let weir = Weir::start(config.value()).unwrap();
        assert_eq!(get(&weir, "/a").status, 503);
        assert_eq!(get(&weir, "/plain").status, 200);
    }
}

#[test]
fn broken_modules_do_not_replace_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start().unwrap();
    let good = Guests::build().unwrap().filter("prime-token").unwrap();
    let modules = broken(folder.path());
    let config = |module: &Path| {
        Config::new(&origin.url())
            .filter("filter", filter("filter", module, "wasmtime"))
            .route("/", &["filter"])
    };
    let weir = Weir::start_in(folder, config(&good).value()).unwrap();
    for (name, module) in &modules {
        let before = weir.logs().lines().len();
        weir.write_config(config(module).value()).unwrap();
        weir.signal("HUP").unwrap();
        let refused = weir.logs().wait(weir_testkit::PATIENCE, |lines| {
            lines[before..]
                .iter()
                .any(|line| line.text.contains("reload failed"))
                .then_some(())
        });
        assert!(refused.is_some(), "{name}:\n{}", weir.logs().text());
        assert_eq!(get(&weir, "/").status, 403, "{name}: the good module is gone");
    }
}

#[test]
fn modules_of_other_toolchains_run() {
    for engine in usable_runtimes() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::start().unwrap();
        let texts = texts("toolchains");
        let mut config = Config::new(&origin.url());
        for (name, text) in &texts {
            let module = Guests::assemble(folder.path(), name, text).unwrap();
            config = config
                .filter(name, filter(name, &module, engine))
                .route(&format!("/{name}"), &[name]);
        }
        let weir = Weir::start_in(folder, config.value()).unwrap();
        for (name, _) in &texts {
            let response = get(&weir, &format!("/{name}"));
            assert_eq!(
                response.header("x-guest").as_deref(),
                Some(name.as_str()),
                "{engine}: {response:?}\n{}",
                weir.logs().text()
            );
        }
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let module = Guests::build().unwrap().filter("prime-token").unwrap();
    let good = || {
        Config::new("http://127.0.0.1:1")
            .filter("f", filter("f", &module, "wasmtime"))
            .route("/", &["f"])
    };
    let cases = [
        (good().set("lisseners", json!([])), "lisseners"),
        (good().set("workers", json!("many")), "workers"),
        (good().set("routes", json!([])), "routes"),
        (
            good().set("filters.f.config.vm_config.runtime", json!("toaster")),
            "toaster",
        ),
        (
            good().set(
                "filters.f.config.vm_config.code.local.filename",
                json!("no-such.wasm"),
            ),
            "no-such.wasm",
        ),
        (good().set("filters.f.config.fail_opne", json!(true)), "fail_opne"),
        (good().route("/x", &["nobody"]), "nobody"),
    ];
    for (config, word) in cases {
        let log = Weir::refused(folder.path(), config.value()).unwrap();
        assert!(
            log.contains(word) && log.contains("weir.yaml"),
            "no `{word}`:\n{log}"
        );
    }
}
