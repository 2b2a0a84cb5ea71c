//! `weir compile`, and code that was compiled before.

use std::fs;
use std::path::Path;

use super::support::{FILTER, assert_ends, cached, command, folder, plugin, weir};

#[test]
fn compile_puts_code_beside_the_module() {
    let folder = folder(&[]);
    let (text, _) = assert_ends(&weir(folder.path(), &["compile", "filter.wasm"]), 0);
    assert!(text.starts_with("filter.compiled.wasm: "), "{text}");
    let (text, _) = assert_ends(&weir(folder.path(), &["inspect", "filter.compiled.wasm"]), 0);
    assert!(text.contains("for wasmtime (weir "), "{text}");
    let (json, _) = assert_ends(
        &weir(folder.path(), &["inspect", "--json", "filter.compiled.wasm"]),
        0,
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["size"], wat::parse_str(FILTER).unwrap().len());
    let again = ["compile", "filter.compiled.wasm", "-o", "again.wasm"];
    assert_ends(&weir(folder.path(), &again), 0);
    let read = |name| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("again.wasm").len(), read("filter.compiled.wasm").len());
}

#[test]
fn compile_names_the_fault() {
    let folder = folder(&[]);
    let cases = [
        (
            &["compile", "filter.wasm", "--engine", "wasmi"][..],
            "the runtime wasmi cannot precompile",
        ),
        (
            &["compile", "filter.wasm", "--engine", "other"],
            "there is no runtime other; expected one of wasmtime, wamr, wamr-jit, v8, wasmedge, wasmi",
        ),
        (&["compile", "broken.wasm"], "not a WebAssembly module"),
        (
            &["compile", "filter.wasm", "-o", "no/such/folder.wasm"],
            "cannot write no/such/folder.wasm",
        ),
    ];
    for (args, expected) in cases {
        let (_, errors) = assert_ends(&weir(folder.path(), args), 1);
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn code_is_used_where_it_is_allowed() {
    let allowed = plugin(
        "filter.compiled.wasm",
        "  configuration: blue\n  fail_policy: open\n",
    ) + "    allow_precompiled: true\n";
    let refused = allowed.replace("true", "false");
    let on_wasmi = allowed.clone() + "    runtime: wasmi\n";
    let folder = folder(&[
        ("allowed.yaml", &allowed),
        ("refused.yaml", &refused),
        ("wasmi.yaml", &on_wasmi),
    ]);
    assert_ends(&weir(folder.path(), &["compile", "filter.wasm"]), 0);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "allowed.yaml"]), 0);
    assert_eq!(errors, "");
    assert_eq!(cached(folder.path()), 0, "nothing had to be compiled");
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "wasmi.yaml"]), 0);
    assert!(
        errors.contains("the module is compiled: made for the runtime wasmtime"),
        "{errors}"
    );
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "refused.yaml"]), 0);
    assert!(
        errors.contains("the module is compiled: allow_precompiled is not true"),
        "{errors}"
    );
    assert_eq!(cached(folder.path()), 1);
}

#[test]
fn code_of_another_version_is_made_again() {
    let allowed = plugin("filter.compiled.wasm", "  configuration: blue\n") + "    allow_precompiled: true\n";
    let folder = folder(&[("allowed.yaml", &allowed)]);
    assert_ends(&weir(folder.path(), &["compile", "filter.wasm"]), 0);
    let path = folder.path().join("filter.compiled.wasm");
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(6).position(|bytes| bytes == b"weir 0").unwrap();
    file[at] = b'W';
    fs::write(&path, file).unwrap();
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "allowed.yaml"]), 0);
    assert_eq!(errors.matches("made for another version").count(), 1, "{errors}");
}

#[test]
fn compiled_code_is_kept() {
    let folder = folder(&[("colour.yaml", &plugin("filter.wasm", "  configuration: blue\n"))]);
    let check = |more: &[&str]| {
        assert_ends(
            &weir(folder.path(), &[&["check", "colour.yaml"], more].concat()),
            0,
        );
        cached(folder.path())
    };
    assert_eq!(check(&["--code-cache", "off"]), 0);
    assert_eq!(check(&[]), 1);
    assert_eq!(check(&[]), 1);
    let (_, errors) = assert_ends(
        &weir(
            folder.path(),
            &["check", "colour.yaml", "--code-cache", "filter.wasm"],
        ),
        0,
    );
    assert!(
        errors.contains("filter.wasm: the code cache cannot use the folder"),
        "{errors}"
    );
}

#[test]
fn code_for_wamr_takes_a_compiler_to_make_and_none_to_load() {
    const VARIABLE: &str = "WEIR_WAMR_COMPILER";
    let configuration = |runtime: &str, module: &str| {
        format!(
            "config:\n  name: colour\n  configuration: red\n  vm_config:\n    runtime: {runtime}\n    allow_precompiled: true\n    \
             code: {{ local: {{ filename: {module} }} }}\n"
        )
    };
    let folder = folder(&[
        ("plugin.yaml", &configuration("wamr", "compiled.wasm")),
        ("jit.yaml", &configuration("wamr-jit", "filter.wasm")),
        ("compiled-jit.yaml", &configuration("wamr-jit", "compiled.wasm")),
    ]);
    let compile = [
        "compile",
        "filter.wasm",
        "--engine",
        "wamr",
        "-o",
        "compiled.wasm",
    ];
    let with = |compiler: &str, args: &[&str]| {
        command(folder.path(), args)
            .env(VARIABLE, compiler)
            .env("WEIR_CODE_CACHE", "off")
            .output()
            .unwrap()
    };
    let without = |args: &[&str]| with("/nowhere", args);
    for args in [&compile[..], &["check", "jit.yaml"]] {
        let (_, errors) = assert_ends(&without(args), 1);
        assert!(
            errors.contains("make it with `cargo xtask wamr-compiler`"),
            "{errors}"
        );
    }
    let (_, errors) = assert_ends(&with("/bin/true", &["check", "jit.yaml"]), 1);
    assert!(
        errors.contains("the runtime wamr-jit cannot be used: /bin/true: it is not Weir's compiler for WAMR; make it again"),
        "{errors}"
    );

    let compiler = std::env::var_os(VARIABLE).map(std::path::PathBuf::from);
    if !compiler.as_ref().is_some_and(|compiler| compiler.is_file()) {
        eprintln!("not tested with a compiler: `cargo xtask wamr-compiler` makes it");
        return;
    }
    let (text, _) = assert_ends(&weir(folder.path(), &compile), 0);
    assert!(
        text.starts_with("compiled.wasm: ") && text.lines().count() == 1,
        "{text}"
    );
    let (text, _) = assert_ends(&weir(folder.path(), &["inspect", "compiled.wasm"]), 0);
    assert!(text.contains("wamr"), "{text}");
    let (_, errors) = assert_ends(&without(&["check", "plugin.yaml"]), 0);
    assert!(!errors.contains("not used"), "{errors}");
    let compiler = compiler.as_deref().and_then(Path::to_str).unwrap();
    assert_ends(&with(compiler, &["check", "jit.yaml"]), 0);
    // Code for the one is code for the other; this compiler compiles nothing but the module that it is tried with.
    let script = format!(
        "#!/bin/sh\nhead -c 9 > module\n[ $(wc -c < module) = 8 ] && exec {compiler} \"$@\" < module\nexit 1\n"
    );
    fs::write(folder.path().join("compiler"), script).unwrap();
    fs::set_permissions(
        folder.path().join("compiler"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    assert_ends(&with("./compiler", &["check", "compiled-jit.yaml"]), 0);
    let (_, errors) = assert_ends(&with("./compiler", &["check", "jit.yaml"]), 1);
    assert!(errors.contains("WAMR's compiler: "), "{errors}");
}
