//! The documents of the Traffic Server plugin.

use std::time::Duration;

use weir_abi::LogLevel;
use weir_abi::limits::CpuShare;
use weir_config::{
    CodeSource, Environment, FailPolicy, FilterConfig, HostPattern, HttpCallFailure, RequestTarget,
    RouteMatch, Ticks, VmLimits,
};

use super::*;

fn configuration(yaml: &str) -> String {
    let filter = parsed_filter(&format!("config:\n  {MODULE}\n  configuration: {yaml}\n"));
    String::from_utf8(filter.configuration).unwrap()
}

/// The experimental C++ plugin takes them.
#[test]
fn a_name_without_a_value_counts_as_none_and_is_warned_about() {
    for (keys, warned) in [
        ("name:\n  rootId: ~", vec!["name", "root_id"]),
        ("name: ''\n  root_id: ''", vec!["name", "root_id"]),
        ("name: null", vec!["name"]),
        ("name: a", vec![]),
    ] {
        let filter = parsed_filter(&format!("config:\n  {keys}\n  {MODULE}\n"));
        let unnamed = parsed_filter(&format!("config:\n  {MODULE}\n")).name;
        let name = if warned.is_empty() {
            "a".to_owned()
        } else {
            unnamed
        };
        assert_eq!(
            (filter.name.clone(), filter.root_id.as_str()),
            (name, ""),
            "{keys}"
        );
        let warnings: Vec<String> = filter.warnings().collect();
        assert_eq!(warnings.len(), warned.len(), "{warnings:?}");
        for (warning, key) in warnings.iter().zip(warned) {
            assert!(warning.contains(&format!(": {key}: has no value")), "{warning}");
        }
    }
}

#[test]
fn every_key_of_a_filter_is_read() {
    let filter = load_filter("filter-snake.yaml");
    assert_eq!(filter.source, documents().join("valid/filter-snake.yaml"));
    assert_eq!(filter.name, "headers");
    assert_eq!(filter.root_id, "main");
    assert_eq!(
        filter.configuration,
        br#"{"set":{"x-a":"1"},"limit":5,"ratio":0.5,"list":[true,null,"yes"]}"#
    );
    assert_eq!(filter.fail_policy, FailPolicy::Closed);
    assert!(filter.allow_on_headers_stop_iteration);
    assert_eq!(filter.http_call_failure, HttpCallFailure::Synthesize);
    assert_eq!(filter.log_level, Some(LogLevel::Debug));
    assert_eq!(filter.body_limit, 2 << 20);
    assert_eq!(filter.stream_deadline, Duration::from_secs(30));
    assert!(filter.cache_transformed && filter.call_by_authority && filter.watch);
    assert_eq!(filter.ticks, Some(Ticks::EveryVm));
    let auth = upstream("auth", "127.0.0.1", 9001);
    let direct = upstream("127.0.0.1:9002", "127.0.0.1", 9002);
    assert_eq!(
        filter
            .upstreams
            .values()
            .map(|upstream| (**upstream).clone())
            .collect::<Vec<_>>(),
        [auth, direct]
    );
    let hosts = vec![
        HostPattern::Exact("example.com".into()),
        HostPattern::Below(".example.org".into()),
    ];
    assert_eq!(
        filter.matches,
        [
            RouteMatch {
                hosts,
                path_prefix: "/a".into(),
                as_sent: false,
            },
            RouteMatch {
                hosts: vec![],
                path_prefix: "/b".into(),
                as_sent: false,
            },
        ]
    );
    assert!(filter.sees(&RequestTarget::new(b"a.example.org:80", b"/a/b")));
    assert!(!filter.sees(&RequestTarget::new(b"a.example.net", b"/a/b")));

    let vm = filter.vm;
    assert_eq!(
        (vm.runtime.name.as_str(), vm.runtime.written.as_str()),
        ("wasmi", "ats.wasm.runtime.wasmi")
    );
    assert_eq!(
        vm.runtime.location.unwrap().to_string().rsplit('/').next(),
        Some("filter-snake.yaml:45:14: config.vm_config.runtime")
    );
    let requests = vm.snapshot.unwrap().warm_up;
    assert_eq!(requests.len(), 2);
    let line = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let pseudo = |method, path, authority| {
        [
            (":method", method),
            (":path", path),
            (":authority", authority),
            (":scheme", "http"),
        ]
    };
    let lines = [
        &pseudo("GET", "/search?q=1", "localhost")[..],
        &[("x-a", "1"), ("x-a", "2")],
    ]
    .concat();
    assert_eq!(requests[0].headers, lines.iter().map(line).collect::<Vec<_>>());
    assert!(requests[0].body.is_empty());
    let lines = [
        &pseudo("POST", "/", "example.com")[..],
        &[("content-length", "4")],
    ]
    .concat();
    assert_eq!(requests[1].headers, lines.iter().map(line).collect::<Vec<_>>());
    assert_eq!(requests[1].body, b"text");
    assert_eq!(vm.vm_id, "shared");
    assert_eq!(vm.configuration, b"text of the VM");
    assert!(vm.allow_precompiled);
    let variables = [
        ("HOME", "/home/weir"),
        ("MODE", "test"),
        ("LEVEL", "3"),
        ("EMPTY", ""),
    ];
    assert_eq!(
        vm.environment,
        variables.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(vm.code, Some(CodeSource::Local(file("module.wasm"))));
    assert_eq!(
        vm.allowed_capabilities.unwrap(),
        ["fd_write", "proxy_log", "proxy_on_request_headers"]
    );
    assert_eq!(vm.module_file, 64 << 20);
    assert!(vm.strict);
    assert_eq!(
        vm.limits,
        VmLimits {
            memory: 64 << 20,
            callback_deadline: Duration::from_millis(250),
            start_deadline: Duration::from_secs(90),
            http_calls: 16,
            host_memory: 32 << 20,
            log: 1 << 20,
            http_call_timeout: Duration::from_millis(1500),
            cpu: CpuShare::from_thousandths(250).unwrap(),
        }
    );
}

#[test]
fn camel_case_means_the_same() {
    let snake = load_filter("filter-snake.yaml");
    let camel = FilterConfig {
        source: snake.source.clone(),
        ..load_filter("filter-camel.yaml")
    };
    assert_eq!(camel, snake);
}

#[test]
fn a_filter_needs_no_more_than_its_module() {
    let filter = parsed_filter(&format!("config:\n  {MODULE}\n"));
    assert_eq!(filter.name, "text");
    assert_eq!(filter.root_id, "");
    assert_eq!(filter.configuration, b"");
    assert_eq!(filter.fail_policy, FailPolicy::Open);
    assert!(!filter.allow_on_headers_stop_iteration);
    assert_eq!(filter.http_call_failure, HttpCallFailure::Zeros);
    assert_eq!(filter.log_level, None);
    assert_eq!(filter.body_limit, 1 << 20);
    assert_eq!(filter.stream_deadline, Duration::from_secs(90));
    assert!(!(filter.cache_transformed || filter.call_by_authority || filter.watch));
    assert_eq!(filter.ticks, None);
    assert!(filter.upstreams.is_empty());
    assert!(filter.sees(&RequestTarget::new(b"", b"*")));
    assert_eq!(filter.vm.runtime.name, "wasmtime");
    assert_eq!(filter.vm.vm_id, "");
    assert!(!filter.vm.allow_precompiled);
    assert!(filter.vm.environment.is_empty());
    assert_eq!(filter.vm.allowed_capabilities, None);
    assert_eq!(filter.vm.module_file, 512 << 20);
    assert!(!filter.vm.strict);
    assert_eq!(
        filter.vm.limits,
        VmLimits {
            memory: 128 << 20,
            callback_deadline: Duration::from_millis(500),
            start_deadline: Duration::from_secs(10),
            http_calls: 1024,
            host_memory: 64 << 20,
            log: 1 << 20,
            http_call_timeout: Duration::from_secs(60),
            cpu: CpuShare::from_thousandths(500).unwrap(),
        }
    );
    assert_eq!(
        filter.files(),
        [file("module.wasm"), documents().join("valid/text.yaml")]
    );
}

#[test]
fn runtimes_have_the_names_of_envoy_of_traffic_server_and_their_own() {
    for (written, name) in [
        ("wasmtime", "wasmtime"),
        ("wasmi", "wasmi"),
        ("ats.wasm.runtime.wasmtime", "wasmtime"),
        ("ats.wasm.runtime.wamr", "wamr"),
        ("ats.wasm.runtime.wasmedge", "wasmedge"),
        ("ats.wasm.runtime.v8", "v8"),
        ("envoy.wasm.runtime.wasmi", "wasmi"),
        ("envoy.wasm.runtime.null", "null"),
    ] {
        let text = format!(
            "config: {{ vm_config: {{ runtime: {written}, code: {{ local: {{ filename: ../files/module.wasm }} }} }} }}"
        );
        let filter = parsed_filter(&text);
        assert_eq!(filter.vm.runtime.name, name);
        assert!(filter.check_runtime(&[name]).is_ok());
        assert!(filter.check_runtime(&["another"]).is_err());
    }
}

#[test]
fn a_configuration_is_handed_over_as_it_was_meant() {
    for (yaml, bytes) in [
        ("", ""),
        ("text", "text"),
        ("'5'", "5"),
        ("5", "5"),
        ("1.50", "1.50"),
        ("\"a\\nb\"", "a\nb"),
        ("|\n    {\"a\": 1}\n", "{\"a\": 1}\n"),
        ("{}", "{}"),
        ("[]", "[]"),
        (
            "{b: 1, a: '1', c: {d: [1, -2, 0x10, 1e3, ~]}}",
            r#"{"b":1,"a":"1","c":{"d":[1,-2,16,1000.0,null]}}"#,
        ),
        ("{a: !!str 5, b: \"\\u00e9\"}", "{\"a\":\"5\",\"b\":\"é\"}"),
        (
            "{\"@type\": type.googleapis.com/google.protobuf.StringValue, value: \"text\"}",
            "text",
        ),
        (
            "{\"@type\": type.googleapis.com/google.protobuf.StringValue, value: 5}",
            "5",
        ),
        ("{\"@type\": type.googleapis.com/google.protobuf.StringValue}", ""),
        (
            "{\"@type\": type.googleapis.com/google.protobuf.BytesValue, value: aGk=}",
            "hi",
        ),
        (
            "{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {a: [1]}}",
            "{\"a\":[1]}",
        ),
        ("{\"@type\": type.googleapis.com/google.protobuf.Struct}", "{}"),
    ] {
        assert_eq!(configuration(yaml), bytes, "{yaml}");
    }
}

#[test]
fn a_module_may_stand_in_a_folder_of_the_environment() {
    let environment = Environment::empty()
        .with_folder("/nowhere")
        .with_folder(documents().join("files"));
    let text = b"config: { vm_config: { code: { local: { filename: module.wasm } } } }";
    let filter = FilterConfig::parse(text, &documents().join("valid/text.yaml"), &environment).unwrap();
    assert_eq!(
        filter.vm.code,
        Some(CodeSource::Local(documents().join("files/module.wasm")))
    );
}

#[test]
fn the_stand_in_for_a_broken_document_keeps_its_readable_keys() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = |text: &str| {
        let file = folder.path().join("broken.yaml");
        std::fs::write(&file, text).unwrap();
        FilterConfig::stand_in(&file, &Environment::empty())
    };
    let closed = stand_in(
        "config:\n  name: auth\n  fail_open: false\n  no_such_key: 1\n  match: { host: a.example }\n",
    );
    assert_eq!(
        (closed.name.as_str(), closed.fail_policy),
        ("auth", FailPolicy::Closed)
    );
    assert!(
        closed.sees(&RequestTarget::new(b"a.example", b"/"))
            && !closed.sees(&RequestTarget::new(b"b.example", b"/"))
    );
    for hopeless in ["config: [", "", "- 1\n", "config: 5\n"] {
        let filter = stand_in(hopeless);
        assert_eq!(
            (filter.name.as_str(), filter.fail_policy),
            ("broken", FailPolicy::Open)
        );
        assert!(filter.sees(&RequestTarget::new(b"a", b"/")));
    }
    let missing = FilterConfig::stand_in(&folder.path().join("missing.yaml"), &Environment::empty());
    assert_eq!(
        (missing.name.as_str(), missing.fail_policy),
        ("missing", FailPolicy::Open)
    );
}
