//! `weir check`.

use std::fs;

use super::support::{assert_ends, command, folder, plugin, weir};

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

/// A list of hostcalls alone switches off what the filter is for.
#[test]
fn callbacks_that_a_restriction_blocks_are_named() {
    let restricted = |names: &str| {
        plugin(
            "filter.wasm",
            &format!(
                "  configuration: blue\n  fail_policy: closed\n  capability_restriction_config:\n    allowed_capabilities: [{names}]\n"
            ),
        )
    };
    let folder = folder(&[
        ("hostcalls.yaml", &restricted("proxy_log")),
        ("whole.yaml", &restricted("proxy_log, proxy_on_configure")),
    ]);
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "hostcalls.yaml"]), 0);
    assert!(
        errors.contains("filter colour: `capability_restriction_config` blocks callbacks that ")
            && errors.contains("proxy_on_configure"),
        "{errors}"
    );
    let (_, errors) = assert_ends(&weir(folder.path(), &["check", "whole.yaml"]), 0);
    assert_eq!(errors, "");
    let (list, _) = assert_ends(
        &weir(folder.path(), &["inspect", "--allow-list", "filter.wasm"]),
        0,
    );
    assert_eq!(
        list,
        "capability_restriction_config:\n  allowed_capabilities:\n    - proxy_log\n    - proxy_on_configure\n"
    );
}
