//! The command as a user runs it: exit codes, and what stands on standard output and standard error.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use tempfile::TempDir;

const FILTER: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "the colour is not known")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
        ;; An empty configuration is refused, and the log says why.
        (if (result i32) (local.get $size)
            (then i32.const 1)
            (else
                (drop (call $log (i32.const 4) (i32.const 0) (i32.const 23)))
                (i32.const 0)))))"#;

/// A folder with a filter, a broken module and what is in `files`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("filter.wasm"), wat::parse_str(FILTER).unwrap()).unwrap();
    fs::write(folder.path().join("broken.wasm"), "no module").unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn weir(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("WEIR_LOG")
        .env("WEIR_CODE_CACHE", folder.join("cache"));
    command
}

#[track_caller]
fn assert_ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{stdout}\nstderr:\n{stderr}"
    );
    (stdout, stderr)
}

fn plugin(module: &str, configuration: &str) -> String {
    format!(
        "config:\n  name: colour\n{configuration}  vm_config:\n    code:\n      local:\n        filename: {module}\n"
    )
}

#[test]
fn inspect_describes_a_module() {
    let folder = folder(&[]);
    let (text, _) = assert_ends(&weir(folder.path(), &["inspect", "filter.wasm"]), 0);
    assert!(text.contains("Weir can run it, with ABI 0.2.1"), "{text}");

    let (json, _) = assert_ends(&weir(folder.path(), &["inspect", "--json", "filter.wasm"]), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["callbacks"], serde_json::json!(["proxy_on_configure"]));
    assert_eq!(json["hostcalls"], serde_json::json!(["proxy_log"]));
}

#[test]
fn inspect_names_the_file_that_is_no_module() {
    let folder = folder(&[]);
    let (_, broken) = assert_ends(&weir(folder.path(), &["inspect", "broken.wasm"]), 1);
    assert!(
        broken.contains("broken.wasm") && broken.contains("not a WebAssembly module"),
        "{broken}"
    );
    let (_, absent) = assert_ends(&weir(folder.path(), &["inspect", "absent.wasm"]), 1);
    assert!(absent.contains("absent.wasm"), "{absent}");
    for verb in ["inspect", "compile"] {
        let (_, endless) = assert_ends(&weir(folder.path(), &[verb, "/dev/zero"]), 1);
        assert!(
            endless.contains("cannot read /dev/zero") && endless.contains("not a regular file"),
            "{endless}"
        );
    }
}

#[test]
fn check_runs_the_filters_of_a_proxy_configuration() {
    let filters = plugin("filter.wasm", "  configuration: blue\n").replace('\n', "\n    ");
    let proxy =
        format!("filters:\n  colour:\n    {filters}\nroutes:\n  - filters: [colour]\n    upstream: echo\n");
    let folder = folder(&[("weir.yaml", &proxy)]);
    let (text, _) = assert_ends(&weir(folder.path(), &["check", "weir.yaml"]), 0);
    assert_eq!(text, "weir.yaml: all is well (filters: 1)\n");
}

#[test]
fn check_takes_a_file_of_the_traffic_server_plugin() {
    let folder = folder(&[("colour.yaml", &plugin("filter.wasm", "  configuration: blue\n"))]);
    assert_ends(&weir(folder.path(), &["check", "colour.yaml"]), 0);
}

#[test]
fn a_filter_without_a_fail_policy_is_said_to_be_open() {
    let folder = folder(&[
        ("none.yaml", &plugin("filter.wasm", "  configuration: blue\n")),
        (
            "closed.yaml",
            &plugin("filter.wasm", "  configuration: blue\n  fail_policy: closed\n"),
        ),
    ]);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "none.yaml"]), 0);
    assert!(
        errors.contains("filter colour: no `fail_policy`, so it is open"),
        "{errors}"
    );
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "closed.yaml"]), 0);
    assert!(!errors.contains("fail_policy"), "{errors}");
}

#[test]
fn check_shows_why_a_guest_refuses_its_configuration() {
    let folder = folder(&[("colour.yaml", &plugin("filter.wasm", ""))]);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "colour.yaml"]), 1);
    assert!(
        errors.contains("filter.wasm") && errors.contains("proxy_on_configure returned false"),
        "{errors}"
    );
    assert!(
        errors.contains("the colour is not known"),
        "the guest's own words are missing:\n{errors}"
    );
}

#[test]
fn check_names_file_line_and_key() {
    let wrong = plugin("filter.wasm", "  colour: blue\n");
    let folder = folder(&[
        ("colour.yaml", &wrong),
        ("broken.yaml", &plugin("broken.wasm", "")),
    ]);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "colour.yaml"]), 1);
    assert!(
        errors.starts_with("colour.yaml:3:") && errors.contains("colour"),
        "{errors}"
    );
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "broken.yaml"]), 1);
    assert!(
        errors.contains("broken.wasm") && errors.contains("not a WebAssembly module"),
        "{errors}"
    );
}

#[test]
fn check_reads_a_process_document() {
    let folder = folder(&[
        ("process.yaml", "admin: 9180\ncode_cache: off\nwasmtime: fuel\n"),
        ("wrong.yaml", "admin: 9180\nroutes: []\nlog_lvel: info\n"),
    ]);
    let (text, _) = assert_ends(&weir(folder.path(), &["check", "--process", "process.yaml"]), 0);
    assert_eq!(text, "process.yaml: all is well (process document)\n");
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "--process", "wrong.yaml"]), 1);
    let lines: Vec<&str> = errors.lines().collect();
    assert!(
        lines.len() == 2
            && lines[0].starts_with("wrong.yaml:2:1: routes: a key of weir serve")
            && lines[1].starts_with("wrong.yaml:3:1: log_lvel: unknown key; did you mean"),
        "{errors}"
    );
}

/// The flag comes before the environment, and the environment before the document.
#[test]
fn the_code_cache_is_where_the_most_specific_place_says() {
    let proxy = "code_cache: documented\nfilters:\n  colour:\n    configuration: blue\n    vm_config:\n      \
                 code: { local: { filename: filter.wasm } }\nroutes:\n  - { filters: [colour], upstream: echo }\n";
    let folder = folder(&[("weir.yaml", proxy)]);
    let check = |args: &[&str], variable: Option<&str>| {
        let mut command = command(folder.path(), &[&["check", "weir.yaml"], args].concat());
        command.env_remove("WEIR_CODE_CACHE");
        if let Some(variable) = variable {
            command.env("WEIR_CODE_CACHE", folder.path().join(variable));
        }
        assert_ends(&command.output().unwrap(), 0);
        let there = ["documented", "environment", "flag"].map(|name| folder.path().join(name).is_dir());
        for name in ["documented", "environment", "flag"] {
            let _ = fs::remove_dir_all(folder.path().join(name));
        }
        there
    };
    assert_eq!(check(&[], None), [true, false, false]);
    assert_eq!(check(&[], Some("environment")), [false, true, false]);
    assert_eq!(
        check(&["--code-cache", "flag"], Some("environment")),
        [false, false, true]
    );
}

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

/// Counts the files of code in the code cache.
fn cached(folder: &Path) -> usize {
    let entries =
        fs::read_dir(folder.join("cache")).map_or(Vec::new(), |entries| entries.flatten().collect());
    let is_code = |entry: &&fs::DirEntry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "code")
    };
    entries.iter().filter(is_code).count()
}

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

#[test]
fn serve_refuses_a_wrong_configuration_before_it_listens() {
    let folder = folder(&[(
        "weir.yaml",
        "listen: 127.0.0.1:0\nroutes:\n  - upstream: nowhere\n",
    )]);
    let (_, errors) = assert_ends(&weir(folder.path(), &["serve", "--config", "weir.yaml"]), 1);
    assert!(
        errors.starts_with("weir.yaml:3:") && errors.contains("nowhere"),
        "{errors}"
    );
}

#[test]
fn a_filter_that_dies_at_the_start_is_refused_in_one_message() {
    for (body, reason) in [
        ("unreachable", "proxy_on_configure failed: "),
        (
            "(loop $again (br $again)) unreachable",
            "limits.start_deadline is 200 ms",
        ),
    ] {
        let module = format!(
            r#"(module
                (memory (export "memory") 1)
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) i32.const 1024)
                (func $the_culprit (result i32) {body})
                (func (export "proxy_on_configure") (param i32 i32) (result i32) call $the_culprit))"#
        );
        let config = "listen: 127.0.0.1:0\nfilters:\n  gate:\n    fail_policy: closed\n    limits: { start_deadline: 200ms }\n    \
             vm_config: { code: { local: { filename: dies.wasm } } }\nroutes:\n  - { filters: [gate], static: { status: 204 } }\n";
        let folder = folder(&[("weir.yaml", config)]);
        let module = wat::parse_str(&module).unwrap();
        fs::write(folder.path().join("dies.wasm"), module).unwrap();
        let (_, errors) = assert_ends(&weir(folder.path(), &["serve", "--config", "weir.yaml"]), 1);
        for once in ["filter gate: ", reason, "at the_culprit"] {
            assert_eq!(errors.matches(once).count(), 1, "{once}:\n{errors}");
        }
        assert!(!errors.contains("the VM has died"), "{errors}");
    }
}

/// A proxy that serves until this is dropped.
struct Serving {
    child: Child,
    lines: BufReader<ChildStderr>,
    log: String,
}

impl Serving {
    /// Starts it, with this on its standard input, and waits until it listens.
    fn start(command: &mut Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let log = String::new();
        let mut serving = Self { child, lines, log };
        serving.wait_for("listening");
        serving
    }

    /// Waits for a line of the log.
    fn wait_for(&mut self, text: &str) {
        while !self.log.contains(text) {
            let read = self.lines.read_line(&mut self.log).unwrap();
            assert!(read > 0, "no `{text}`:\n{}", self.log);
        }
    }

    /// The status line of its answer.
    fn get(&self) -> String {
        let line = self.log.lines().find(|line| line.contains("listening")).unwrap();
        let address = line.rsplit("address=").next().unwrap().trim();
        get_from(address)
    }
}

/// The status line of the answer from an address.
fn get_from(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serve_takes_its_configuration_from_a_pipe() {
    let folder = folder(&[]);
    let mut command = command(folder.path(), &["serve", "--log-format", "text"]);
    command.args(["--config", "/dev/stdin"]);
    let text = format!(
        "listen: 127.0.0.1:0\nworkers: 1\nfilters:\n  f: {{ configuration: blue, vm_config: {{ code: {{ local: {{ filename: {} }} }} }} }}\n\
         routes:\n  - {{ filters: [f], static: {{ status: 204 }} }}\n",
        folder.path().join("filter.wasm").display()
    );
    let mut serving = Serving::start(&mut command, &text);
    assert!(serving.get().ends_with("204 No Content"));
    // The text is kept: a reload reads the modules again.
    let kill = format!("kill -HUP {}", serving.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    serving.wait_for("configuration reloaded");
    assert!(serving.get().ends_with("204 No Content"));
}

#[test]
fn vms_start_where_addresses_are_limited() {
    // wamr-jit needs its compiler, which is not everywhere; its VMs are those of wamr.
    for runtime in ["wasmtime", "wamr", "wasmedge", "wasmi"] {
        let folder = folder(&[]);
        let mut command = with_few_addresses(
            folder.path(),
            runtime,
            "serve --log-format text --config weir.yaml",
        );
        let serving = Serving::start(&mut command, "");
        let (answer, log) = (serving.get(), &serving.log);
        assert!(answer.ends_with("204 No Content"), "{runtime}: {answer}\n{log}");
        // The one runtime that does something else then says so.
        let says = log.contains("addresses are limited to 1024 MiB (`ulimit -v`)");
        assert_eq!(says, runtime == "wasmtime", "{runtime}: {log}");
    }
}

#[test]
fn v8_is_refused_where_addresses_are_limited() {
    let folder = folder(&[]);
    let output = with_few_addresses(folder.path(), "v8", "check weir.yaml")
        .output()
        .unwrap();
    let (_, errors) = assert_ends(&output, 1);
    for part in ["limited to 1024 MiB (`ulimit -v`)", "allow at least 16 GiB"] {
        assert!(errors.contains(part), "{part} is not in {errors}");
    }
}

/// A command under `ulimit -v` of 1 GiB, in a folder with a configuration for a runtime.
fn with_few_addresses(folder: &Path, runtime: &str, verb: &str) -> Command {
    let configuration = format!(
        "listen: 127.0.0.1:0\nworkers: 2\nfilters:\n  f: {{ configuration: blue, fail_policy: closed, vm_config: {{ runtime: \
         {runtime}, code: {{ local: {{ filename: filter.wasm }} }} }} }}\nroutes:\n  - {{ filters: [f], static: {{ status: 204 }} \
         }}\n"
    );
    fs::write(folder.join("weir.yaml"), configuration).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_weir"));
    let mut command = Command::new("sh");
    let script = format!("ulimit -v 1048576; exec {} {verb}", binary.display());
    command
        .args(["-c", &script])
        .current_dir(folder)
        .env_remove("WEIR_LOG")
        .env("WEIR_CODE_CACHE", folder.join("cache"))
        .env(
            "WEIR_WASMEDGE_LIB",
            binary.with_file_name("libweir_wasmedge_stand_in.so"),
        );
    command
}

/// Logs 256 KiB at each request, and answers it with 403.
const LOUD_GATE: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $left i32)
        (memory.fill (i32.const 0) (i32.const 120) (i32.const 65536))
        (local.set $left (i32.const 4))
        (loop $again
            (drop (call $log (i32.const 4) (i32.const 0) (i32.const 65536)))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const -1)))
        i32.const 1))"#;

/// More than `LOUD_GATE` logs in a second.
const UNBOUNDED: &str = "1GiB";

/// The lines of `LOUD_GATE` fill the log's buffer, the part that is being written, and a pipe many times.
const LOUD_REQUESTS: usize = 160;

/// A proxy with `LOUD_GATE`, which may log so much; and its address.
fn loud(folder: &Path, log: &str, targets: &str, stderr: Stdio) -> (Child, String) {
    fs::write(folder.join("loud.wasm"), wat::parse_str(LOUD_GATE).unwrap()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config = format!(
        "listen: {address}\nworkers: 1\nwatch: false\naccess_log: stderr\nfilters:\n  \
         gate: {{ fail_policy: open, limits: {{ log: {log} }}, vm_config: {{ code: {{ local: {{ filename: loud.wasm }} }} }} }}\n\
         routes:\n  - {{ filters: [gate], static: {{ status: 204 }} }}\n"
    );
    fs::write(folder.join("weir.yaml"), config).unwrap();
    let mut child = command(folder, &["serve", "--config", "weir.yaml"])
        .env("WEIR_LOG", targets)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    while TcpStream::connect(&address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it does not serve");
        std::thread::yield_now();
    }
    (child, address)
}

#[test]
fn a_log_that_takes_no_lines_stops_nothing() {
    for target in ["unread", "gone", "full"] {
        let folder = folder(&[]);
        let stderr = match target {
            "full" => fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
            _ => Stdio::piped(),
        };
        let (mut child, address) = loud(folder.path(), UNBOUNDED, "", stderr);
        let reader = child.stderr.take().filter(|_| target == "unread");
        for _ in 0..LOUD_REQUESTS {
            assert!(get_from(&address).ends_with("403 Forbidden"), "{target}");
        }
        // SIGHUP takes the filter out.
        let config = fs::read_to_string(folder.path().join("weir.yaml")).unwrap();
        let open = config.replace("filters: [gate], ", "");
        fs::write(folder.path().join("weir.yaml"), open).unwrap();
        signal(&child, "HUP");
        while !get_from(&address).ends_with("204 No Content") {
            std::thread::yield_now();
        }
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{target}");
        drop(reader);
    }
}

#[test]
fn the_log_says_how_many_lines_it_lost() {
    let folder = folder(&[]);
    let (mut child, address) = loud(folder.path(), UNBOUNDED, "", Stdio::piped());
    for _ in 0..LOUD_REQUESTS {
        get_from(&address);
    }
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let said = line["message"]
            .as_str()?
            .starts_with("lines are missing in the log");
        said.then_some(line)
    });
    let said = said.unwrap();
    assert!(said["lines"].as_u64().unwrap() > 0, "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_filter_logs_no_more_than_it_may() {
    for (targets, expected) in [("", 1), ("info,guest=off", 0), ("info,weir::guest=off", 1)] {
        let folder = folder(&[]);
        // Room for one of its lines; nothing flows back while the test runs.
        let (child, address) = loud(folder.path(), "1B", targets, Stdio::piped());
        for _ in 0..3 {
            assert!(get_from(&address).ends_with("403 Forbidden"));
        }
        signal(&child, "TERM");
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<serde_json::Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let of = |target: &str| lines.iter().filter(|line| line["target"] == target).count();
        assert_eq!(of("guest"), expected, "{targets}");
        let about = lines.iter().find(|line| line["target"] == "weir::guest");
        if targets.contains("weir::guest=off") {
            assert!(about.is_none(), "{about:?}");
            continue;
        }
        let message = about.unwrap()["message"].as_str().unwrap();
        let says = "filter gate logs more than limits.log (1 bytes a second): 1 of its lines are lost";
        assert!(message.starts_with(says), "{message}");
        assert_eq!(of("weir::guest"), 1, "one warning in a while");
    }
}

#[test]
fn an_access_log_that_was_renamed_is_opened_again_on_sighup() {
    let folder = folder(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let (path, old) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let config = format!(
        "listen: {address}\nworkers: 1\nwatch: false\naccess_log: {}\nroutes:\n  - {{ static: {{ status: 204 }} }}\n",
        path.display()
    );
    fs::write(folder.path().join("weir.yaml"), config).unwrap();
    let mut child = command(folder.path(), &["serve", "--config", "weir.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect(&address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it does not serve");
        std::thread::yield_now();
    }
    get_from(&address);
    while fs::read_to_string(&path).unwrap_or_default().lines().count() < 1 {
        std::thread::yield_now();
    }
    fs::rename(&path, &old).unwrap();
    signal(&child, "HUP");
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    get_from(&address);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for file in [&path, &old] {
        assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1, "{file:?}");
    }
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    let folder = folder(&[]);
    assert_ends(&weir(folder.path(), &["serve"]), 2);
    assert_ends(&weir(folder.path(), &["no-such-verb"]), 2);
}

#[test]
fn help_teaches_with_examples() {
    let folder = folder(&[]);
    let verbs = [
        ("serve", "upstream: echo"),
        ("check", "throw-away"),
        ("inspect", "The module is not run"),
        ("compile", "custom section"),
        ("engines", "proposals"),
    ];
    for (verb, words) in verbs {
        let (text, _) = assert_ends(&weir(folder.path(), &[verb, "--help"]), 0);
        for expected in [words, "Examples:", "Exit codes:"] {
            assert!(text.contains(expected), "{verb}: {expected:?} in\n{text}");
        }
    }
}
