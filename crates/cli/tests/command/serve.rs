//! `weir serve`: its start.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{assert_ends, command, folder, weir};

use super::serving::Serving;

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
