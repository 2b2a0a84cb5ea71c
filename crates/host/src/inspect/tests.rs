use proptest::prelude::*;
use weir_abi::{Callback, Signature, ValType};

use super::*;

/// The parts that every module has which runs.
const FRAME: &str = r#"
    (memory (export "memory") 2 10)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) unreachable)"#;

const PROXY_LOG: Signature = Signature {
    params: &[ValType::I32; 3],
    result: Some(ValType::I32),
};

fn module(imports: &str, rest: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {imports} {rest})")).expect("well-formed text")
}

fn inspect(wasm: &[u8]) -> Result<ModuleInfo, LoadError> {
    super::inspect(ImportSets::standard(), wasm)
}

fn check(wasm: &[u8]) -> Result<AbiVersion, LoadError> {
    inspect(wasm)?.check()
}

fn wat_type(signature: Signature) -> String {
    let name = |ty: &ValType| ty.to_string();
    let params: Vec<_> = signature.params.iter().map(name).collect();
    let result = signature.result.iter().map(|ty| format!("(result {ty})"));
    format!("(param {}) {}", params.join(" "), result.collect::<String>())
}

fn import(module: &str, name: &str, signature: Signature) -> String {
    format!(
        "(import \"{module}\" \"{name}\" (func {}))\n",
        wat_type(signature)
    )
}

#[test]
fn everything_the_host_offers_may_be_imported() {
    let mut text = String::new();
    for row in ImportSets::standard().iter().flat_map(|set| set.imports) {
        for offered in row.modules() {
            for signature in row.signatures() {
                text += &import(offered, row.name(), signature);
            }
        }
    }
    let info = inspect(&module(&text, FRAME)).unwrap();
    assert_eq!(info.unknown_imports, [""; 0]);
    let groups = info
        .imports
        .iter()
        .map(|group| (group.name, group.functions.len()));
    // Three hostcalls have a type without a result too; WASI has two names.
    assert_eq!(
        groups.collect::<Vec<_>>(),
        [("hostcalls", 43 + 3 + 3), ("WASI", 2 * 46)]
    );
    assert_eq!(info.sets, ["Proxy-Wasm", "toolchains", "WASI preview 1"]);
    assert_eq!(info.check().unwrap(), AbiVersion::V0_2_1);
}

#[test]
fn unknown_imports_are_named_with_their_types() {
    let imports = r#"
        (import "env" "proxy_log" (func (param i32) (result i32)))
        (import "env" "proxy_redis_call" (func (param i32 i64) (result f64)))
        (import "wasi_snapshot_preview1" "fd_dup" (func))
        (import "wasi_snapshot_preview2" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "table" (table 1 funcref))
        (import "env" "base" (global i32))
        (import "env" "memory" (memory 1))"#;
    let frame = r#"(export "memory" (memory 0)) (func (export "proxy_abi_version_0_2_0"))"#;
    let info = inspect(&module(imports, frame)).unwrap();
    assert_eq!(
        info.unknown_imports,
        [
            "env.proxy_log (i32) -> i32: the host's is (i32,i32,i32) -> i32",
            "env.proxy_redis_call (i32,i64) -> f64: no such function",
            "wasi_snapshot_preview1.fd_dup () -> (): no such function",
            "wasi_snapshot_preview2.fd_write (i32,i32,i32,i32) -> i32: no such function",
            "env.table: a table, but a host offers only functions",
            "env.base: a global, but a host offers only functions",
            "env.memory: a memory, but a host offers only functions",
        ]
    );
    let refusal = info.check().unwrap_err();
    assert!(matches!(&refusal, LoadError::UnknownImports(imports) if imports.len() == 7));
    assert!(
        refusal
            .to_string()
            .contains("env.proxy_redis_call (i32,i64) -> f64")
    );
}

#[test]
fn markers_tell_the_abi_or_are_refused() {
    let marker = |name: &str| module("", &FRAME.replace("proxy_abi_version_0_2_1", name));
    for version in AbiVersion::ALL {
        assert_eq!(check(&marker(version.marker())).unwrap(), *version);
    }
    let none = check(&marker("something")).unwrap_err().to_string();
    for version in AbiVersion::ALL {
        assert!(none.contains(version.marker()), "{none}");
    }
    let higress = check(&marker("proxy_abi_version_0_2_100"))
        .unwrap_err()
        .to_string();
    assert!(
        higress.contains("proxy_abi_version_0_2_100") && higress.contains("Higress"),
        "{higress}"
    );
    let future = check(&marker("proxy_abi_version_0_3_0")).unwrap_err().to_string();
    assert!(
        future.contains("proxy_abi_version_0_3_0") && !future.contains("Higress"),
        "{future}"
    );

    let two = module(
        "",
        &format!("(func (export \"proxy_abi_version_0_1_0\")) {FRAME}"),
    );
    let two = inspect(&two).unwrap();
    assert_eq!(two.abi, Some(AbiVersion::V0_1_0), "the first one counts");
    assert_eq!(
        two.markers,
        ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_1"]
    );
    let global = module(
        "",
        r#"(global (export "proxy_abi_version_0_2_1") i32 (i32.const 0))"#,
    );
    assert!(
        matches!(check(&global), Err(LoadError::NoAbiMarker)),
        "a marker is a function"
    );
}

#[test]
fn memory_and_allocator_are_described() {
    let info = inspect(&module("", FRAME)).unwrap();
    let memory = MemoryInfo {
        min_pages: 2,
        max_pages: Some(10),
        unsupported: None,
    };
    assert_eq!((info.memory, info.allocator), (Some(memory), Some("malloc")));

    let without = |part: &str| module("", &FRAME.replace(part, ""));
    assert!(matches!(
        check(&without(r#"(export "memory")"#)),
        Err(LoadError::NoMemory)
    ));
    assert!(matches!(
        check(&without(r#"(export "malloc")"#)),
        Err(LoadError::NoAllocator)
    ));
    let mistyped = module(
        "",
        &FRAME.replace("(param i32) (result i32)", "(param i64) (result i32)"),
    );
    assert!(matches!(check(&mistyped), Err(LoadError::NoAllocator)));
    let other = module("", &FRAME.replace("malloc", "proxy_on_memory_allocate"));
    let other = inspect(&other).unwrap();
    assert_eq!(other.allocator, Some("proxy_on_memory_allocate"));
    assert_eq!(other.warnings, [""; 0]);
    let wide = module("", &FRAME.replace("2 10", "i64 2"));
    assert!(matches!(check(&wide), Err(LoadError::UnsupportedMemory(reason)) if reason.contains("64-bit")));
}

#[test]
fn callbacks_count_only_with_their_type() {
    let exports = r#"
        (func (export "proxy_on_tick") (param i32))
        (func (export "proxy_on_log") (param i32))
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32) unreachable)
        (func (export "proxy_on_requst_body") (param i32 i32 i32) (result i32) unreachable)
        (func (export "proxy_on_resolve_dns") (param i32))"#;
    let new = inspect(&module("", &format!("{FRAME} {exports}"))).unwrap();
    assert_eq!(new.callbacks, ["proxy_on_tick", "proxy_on_log"]);
    assert_eq!(
        new.warnings,
        [
            "proxy_on_request_headers (i32,i32) -> i32: in ABI 0.2.1 it is (i32,i32,i32) -> i32, so it is not called",
            "proxy_on_requst_body: no such callback, so it is not called",
        ]
    );
    let old = FRAME.replace("0_2_1", "0_1_0");
    let old = inspect(&module("", &format!("{old} {exports}"))).unwrap();
    assert!(old.callbacks.contains(&"proxy_on_request_headers".to_owned()));
}

#[test]
fn every_callback_is_known_in_every_version() {
    for version in AbiVersion::ALL {
        let mut text = FRAME.replace("proxy_abi_version_0_2_1", version.marker());
        for callback in Callback::ALL {
            let ty = wat_type(callback.signature(*version));
            text += &format!("(func (export \"{callback}\") {ty} unreachable)\n");
        }
        let info = inspect(&module("", &text)).unwrap();
        assert_eq!(info.callbacks.len(), Callback::ALL.len(), "{version}");
        assert_eq!(info.warnings, [""; 0]);
    }
}

#[test]
fn start_functions_and_names_are_described() {
    let plain = inspect(&module("", FRAME)).unwrap();
    assert!(!plain.start_section && !plain.has_names);
    assert_eq!(plain.size, module("", FRAME).len());
    let text = format!(
        r#"{FRAME} (func $begin) (start $begin) (func (export "_initialize"))
        (func (export "main") (param i32 i32) (result i32) unreachable) (func (export "_start") (param i32))"#
    );
    let started = inspect(&module("", &text)).unwrap();
    assert!(started.start_section && started.has_names);
    assert_eq!(
        started.start_functions,
        ["_initialize", "main"],
        "_start has another type"
    );
}

#[test]
fn toolchains_are_recognised() {
    let producers = |fields: &str| module("", &format!("(@producers {fields}) {FRAME}"));
    let sdk = |wasm: &[u8]| inspect(wasm).unwrap().sdk;
    let cases = [
        (
            r#"(language "Rust" "") (processed-by "rustc" "1.95.0 (abc 2026-01-01)")"#,
            "Rust 1.95.0",
        ),
        (
            r#"(language "Go" "go1.27.3") (processed-by "Go cmd/compile" "go1.27.3")"#,
            "Go 1.27.3",
        ),
        (
            r#"(language "C_plus_plus_17" "") (processed-by "clang" "19.1.7")"#,
            "C++ (clang 19.1.7)",
        ),
        (r#"(processed-by "clang" "19.1.7")"#, "C or C++ (clang 19.1.7)"),
        (
            r#"(language "C11" "") (processed-by "TinyGo" "0.33.0")"#,
            "TinyGo 0.33.0",
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(sdk(&producers(fields)).as_deref(), Some(expected), "{fields}");
    }
    let growth = r#"(import "env" "emscripten_notify_memory_growth" (func (param i32)))"#;
    assert_eq!(sdk(&module(growth, FRAME)).as_deref(), Some("C++ (Emscripten)"));
    let abort = r#"(import "env" "abort" (func (param i32 i32 i32 i32)))"#;
    assert_eq!(sdk(&module(abort, FRAME)).as_deref(), Some("AssemblyScript"));
    let path = r#"(data (i32.const 0) "/x/registry/proxy-wasm-0.2.5/src/dispatcher.rs")"#;
    let rust = module(
        "",
        &format!("(@producers (language \"Rust\" \"\")) {FRAME} {path}"),
    );
    assert_eq!(sdk(&rust).as_deref(), Some("Rust, SDK proxy-wasm 0.2.5"));
    assert_eq!(sdk(&module("", FRAME)), None);
}

#[test]
fn malformed_modules_say_where() {
    let mut wasm = module("", FRAME);
    wasm.truncate(wasm.len() - 3);
    let error = inspect(&wasm).unwrap_err();
    assert!(
        matches!(error, LoadError::Malformed { offset, .. } if offset > 8),
        "{error}"
    );
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let error = inspect(&vec![0; MAX_MODULE_BYTES + 1]).unwrap_err();
    assert!(
        matches!(error, LoadError::TooLarge(len) if len == MAX_MODULE_BYTES + 1),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = inspect(&bytes);
        let _ = inspect(&[b"\0asm\x01\0\0\0", bytes.as_slice()].concat());
    }

    #[test]
    fn no_damage_panics(at: prop::sample::Index, byte: u8) {
        let imports = import("env", "proxy_log", PROXY_LOG);
        let mut wasm = module(&imports, &format!("(@producers (language \"Rust\" \"\")) {FRAME}"));
        let at = at.index(wasm.len());
        wasm[at] = byte;
        let _ = inspect(&wasm).map(|info| info.check().is_ok());
    }
}
