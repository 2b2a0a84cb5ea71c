//! Runtimes that a build has, lacks, or cannot open.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{FILTER, assert_ends, command, folder, plugin, weir};

#[test]
fn a_proposal_that_a_runtime_lacks_is_named() {
    let relaxed = FILTER.replace(
        "(memory (export",
        "(func (drop (i8x16.relaxed_swizzle (i8x16.splat (i32.const 0)) (i8x16.splat (i32.const 0))))) (memory (export",
    );
    let on_wamr = plugin("relaxed.wasm", "  configuration: blue\n") + "    runtime: ats.wasm.runtime.wamr\n";
    let folder = folder(&[
        ("wamr.yaml", &on_wamr),
        ("wasmtime.yaml", &on_wamr.replace("wamr", "wasmtime")),
    ]);
    fs::write(
        folder.path().join("relaxed.wasm"),
        wat::parse_str(relaxed).unwrap(),
    )
    .unwrap();
    assert_ends(&weir(folder.path(), &["check", "wasmtime.yaml"]), 0);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "wamr.yaml"]), 1);
    assert!(
        errors.contains("the runtime wamr lacks: relaxed SIMD"),
        "{errors}"
    );
}

#[test]
fn a_runtime_whose_library_is_missing_names_the_remedy() {
    let on_v8 = plugin("filter.wasm", "  configuration: blue\n") + "    runtime: v8\n";
    let folder = folder(&[("v8.yaml", &on_v8)]);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(args).current_dir(folder.path());
        command.env("WEIR_V8_LIB", "absent.so").output().unwrap()
    };
    let (text, _) = assert_ends(&run(&["engines"]), 0);
    assert!(
        text.contains("absent.so") && text.contains("cargo xtask v8"),
        "{text}"
    );
    let (_, errors) = assert_ends(&run(&["check", "v8.yaml"]), 1);
    assert!(
        errors.contains("the runtime v8 cannot be used: ") && errors.contains("cargo xtask v8"),
        "{errors}"
    );
}

#[test]
fn wasmtime_follows_its_options() {
    let folder = folder(&[("colour.yaml", &plugin("filter.wasm", "  configuration: blue\n"))]);
    let check = |options| weir(folder.path(), &["check", "colour.yaml", "--wasmtime", options]);
    assert_ends(&check("fuel,jitdump,debug-info"), 0);
    let names = fs::read_dir(folder.path()).unwrap().flatten();
    assert!(
        names
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().ends_with(".dump")),
        "there is no jitdump"
    );
    let (_, errors) = assert_ends(&check("epochs"), 2);
    assert!(
        errors.contains("expected fuel, perf-map or jitdump, debug-info"),
        "{errors}"
    );
}

#[test]
fn engines_are_listed() {
    let folder = folder(&[]);
    let (text, _) = assert_ends(&weir(folder.path(), &["engines"]), 0);
    assert!(text.contains("wasmtime") && text.contains("precompile"), "{text}");
    let (json, _) = assert_ends(&weir(folder.path(), &["engines", "--json"]), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|engine| &engine["name"])
        .collect();
    assert!(
        json[0]["proposals"].as_array().unwrap().contains(&"SIMD".into()),
        "{json}"
    );
    assert_eq!(names, ["wasmtime", "wamr", "wamr-jit", "v8", "wasmedge", "wasmi"]);
}

/// A library is opened when a configuration asks for it; here it is one that has WasmEdge's interface.
#[test]
fn a_library_that_is_missing_or_too_old_is_refused() {
    let configuration = "config:\n  name: colour\n  configuration: red\n  vm_config:\n    runtime: wasmedge\n    code: { local: { \
                         filename: filter.wasm } }\n";
    let folder = folder(&[("plugin.yaml", configuration)]);
    let check = |library: &Path, version: &str| {
        command(folder.path(), &["check", "plugin.yaml"])
            .env("WEIR_WASMEDGE_LIB", library)
            .env("WEIR_STAND_IN_VERSION", version)
            .output()
            .unwrap()
    };
    let (_, errors) = assert_ends(&check(Path::new("/nowhere/libwasmedge.so"), ""), 1);
    assert!(
        errors.contains("/nowhere/libwasmedge.so: cannot open")
            && errors.contains("install WasmEdge 0.14.0 or newer"),
        "{errors}"
    );
    let library = Path::new(env!("CARGO_BIN_EXE_weir")).with_file_name("libweir_wasmedge_stand_in.so");
    if !library.is_file() {
        eprintln!("not tested with a library: {} is not built", library.display());
        return;
    }
    let (_, errors) = assert_ends(&check(&library, "0.13.5"), 1);
    assert!(
        errors.contains("it is WasmEdge 0.13.5, and Weir needs 0.14.0 or newer"),
        "{errors}"
    );
    assert_ends(&check(&library, "0.14.0"), 0);
}
