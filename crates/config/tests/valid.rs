//! Documents that use every key, read to what they mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_abi::LogLevel;
use weir_config::{
    AccessLog, ClientIdentity, Config, Endpoint, Environment, FailPolicy, FilterConfig, HostPattern,
    HttpCallFailure, Limits, Listener, ListenerTls, Protocol, ProxyConfig, RouteMatch, RouteTarget,
    StaticResponse, Timeouts, Upstream, UpstreamTls, VmLimits,
};

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents")
}

fn file(name: &str) -> PathBuf {
    documents().join("valid").join("../files").join(name)
}

fn environment() -> Environment {
    Environment::of([
        ("HOME", "/home/weir"),
        ("LANG", "C.UTF-8"),
        ("OTHER", "not asked for"),
    ])
}

fn filter(name: &str) -> FilterConfig {
    FilterConfig::load(&documents().join("valid").join(name), &environment()).unwrap()
}

fn proxy(name: &str) -> ProxyConfig {
    ProxyConfig::load(&documents().join("valid").join(name), &environment()).unwrap()
}

/// A filter made of this text alone.
fn parsed_filter(text: &str) -> FilterConfig {
    let path = documents().join("valid/text.yaml");
    FilterConfig::parse(text.as_bytes(), &path, &environment()).unwrap()
}

/// A proxy made of this text alone.
fn parsed_proxy(text: &str) -> ProxyConfig {
    let path = documents().join("valid/text.yaml");
    ProxyConfig::parse(text.as_bytes(), &path, &environment()).unwrap()
}

const MODULE: &str = "vm_config: { code: { local: { filename: ../files/module.wasm } } }";

fn configuration(yaml: &str) -> String {
    let filter = parsed_filter(&format!("config:\n  {MODULE}\n  configuration: {yaml}\n"));
    String::from_utf8(filter.configuration).unwrap()
}

fn upstream(name: &str, host: &str, port: u16) -> Upstream {
    Upstream {
        name: name.to_owned(),
        endpoints: vec![Endpoint {
            host: host.to_owned(),
            port,
        }],
        protocol: Protocol::Auto,
        tls: None,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        authority: None,
    }
}

#[test]
fn every_key_of_a_filter_is_read() {
    let filter = filter("filter-snake.yaml");
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
                path_prefix: "/a".into()
            },
            RouteMatch {
                hosts: vec![],
                path_prefix: "/b".into()
            },
        ]
    );
    assert!(filter.sees(b"a.example.org:80", b"/a/b"));
    assert!(!filter.sees(b"a.example.net", b"/a/b"));

    let vm = filter.vm;
    assert_eq!(
        (vm.runtime.name.as_str(), vm.runtime.written.as_str()),
        ("wasmi", "ats.wasm.runtime.wasmi")
    );
    assert_eq!(
        vm.runtime.location.unwrap().to_string().rsplit('/').next(),
        Some("filter-snake.yaml:33:14: config.vm_config.runtime")
    );
    assert_eq!(vm.vm_id, "shared");
    assert_eq!(vm.configuration, b"text of the VM");
    assert!(!vm.allow_precompiled);
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
    assert_eq!(vm.code, file("module.wasm"));
    assert_eq!(
        vm.allowed_capabilities.unwrap(),
        ["fd_write", "proxy_log", "proxy_on_request_headers"]
    );
    assert!(vm.strict);
    assert_eq!(
        vm.limits,
        VmLimits {
            memory: 64 << 20,
            callback_deadline: Duration::from_millis(250),
            start_deadline: Duration::from_secs(90),
            http_calls: 16,
            http_call_timeout: Duration::from_millis(1500),
        }
    );
}

#[test]
fn camel_case_means_the_same() {
    let snake = filter("filter-snake.yaml");
    let camel = FilterConfig {
        source: snake.source.clone(),
        ..filter("filter-camel.yaml")
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
    assert!(filter.upstreams.is_empty());
    assert!(filter.sees(b"", b"*"));
    assert_eq!(filter.vm.runtime.name, "wasmtime");
    assert_eq!(filter.vm.vm_id, "");
    assert!(filter.vm.allow_precompiled);
    assert!(filter.vm.environment.is_empty());
    assert_eq!(filter.vm.allowed_capabilities, None);
    assert!(!filter.vm.strict);
    assert_eq!(
        filter.vm.limits,
        VmLimits {
            memory: 128 << 20,
            callback_deadline: Duration::from_millis(100),
            start_deadline: Duration::from_secs(10),
            http_calls: 1024,
            http_call_timeout: Duration::from_secs(60),
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
fn anchors_and_merge_keys_work() {
    let text = format!(
        "filters:\n  a: &base\n    root_id: a\n    strict: true\n    {MODULE}\n  b: {{ root_id: b, <<: *base }}\n  \
         c: {{ <<: [{{ log_level: warn }}, *base] }}\nroutes: [{{ upstream: echo }}]\n"
    );
    let filters = parsed_proxy(&text).filters;
    let seen: Vec<_> = filters
        .values()
        .map(|it| (it.root_id.as_str(), it.vm.strict, it.log_level))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", true, None),
            ("b", true, None),
            ("a", true, Some(LogLevel::Warn))
        ]
    );
}

#[test]
fn a_module_may_stand_in_a_folder_of_the_environment() {
    let environment = Environment::empty()
        .with_folder("/nowhere")
        .with_folder(documents().join("files"));
    let text = b"config: { vm_config: { code: { local: { filename: module.wasm } } } }";
    let filter = FilterConfig::parse(text, &documents().join("valid/text.yaml"), &environment).unwrap();
    assert_eq!(filter.vm.code, documents().join("files/module.wasm"));
}

#[test]
fn every_key_of_the_proxy_is_read() {
    let proxy = proxy("proxy-snake.yaml");
    assert_eq!(
        proxy.listeners,
        [
            Listener {
                address: "127.0.0.1:8080".parse().unwrap(),
                tls: None
            },
            Listener {
                address: "[::1]:8443".parse().unwrap(),
                tls: Some(ListenerTls {
                    certificate: file("cert.pem"),
                    private_key: file("key.pem"),
                    client_ca: Some(file("ca.pem")),
                }),
            },
            Listener {
                address: "127.0.0.1:0".parse().unwrap(),
                tls: None
            },
        ]
    );

    let idle = Duration::from_secs(7);
    let backend = Upstream {
        idle_timeout: idle,
        ..upstream("backend", "127.0.0.1", 9000)
    };
    let secure = Upstream {
        tls: Some(UpstreamTls::default()),
        idle_timeout: idle,
        ..upstream("secure", "example.com", 443)
    };
    let auth = Upstream {
        endpoints: vec![
            Endpoint {
                host: "127.0.0.1".into(),
                port: 9001,
            },
            Endpoint {
                host: "::1".into(),
                port: 9002,
            },
        ],
        protocol: Protocol::Http2,
        tls: Some(UpstreamTls {
            server_name: Some("auth.example.com".into()),
            ca: Some(file("ca.pem")),
            insecure_skip_verify: true,
            client: Some(ClientIdentity {
                certificate: file("cert.pem"),
                private_key: file("key.pem"),
            }),
        }),
        connect_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_secs(20),
        authority: Some("auth.example.com:8443".into()),
        ..upstream("auth", "", 0)
    };
    let plain = Upstream {
        idle_timeout: idle,
        tls: None,
        ..upstream("plain", "127.0.0.1", 9003)
    };
    let found: Vec<Upstream> = proxy
        .upstreams
        .values()
        .map(|upstream| (**upstream).clone())
        .collect();
    assert_eq!(found, [backend, secure, auth, plain]);

    assert_eq!(proxy.workers, 3);
    assert_eq!(
        proxy.limits,
        Limits {
            body: 5 << 20,
            header_bytes: 32 << 10,
            header_count: 50,
            connections: Some(1000)
        }
    );
    assert_eq!(
        proxy.timeouts,
        Timeouts {
            request_header: Duration::from_secs(1),
            client_idle: Duration::from_secs(2),
            upstream: Duration::from_secs(3),
            upstream_idle: idle,
            stream_idle: Duration::from_secs(600),
            drain: Duration::from_secs(5),
        }
    );
    assert_eq!(
        proxy.access_log,
        AccessLog::File(documents().join("valid/access.log"))
    );
    assert_eq!(proxy.log_level, LogLevel::Warn);
    assert!(!proxy.watch);
    assert!(proxy.check_runtimes(&["wasmtime", "wasmi"]).is_ok());
}

#[test]
fn filters_stand_inline_or_in_files() {
    let proxy = proxy("proxy-snake.yaml");
    let names: Vec<&str> = proxy.filters.keys().map(String::as_str).collect();
    assert_eq!(names, ["from-file", "in-block", "direct"]);
    let alone = filter("filter-snake.yaml");
    let from_file = &proxy.filters["from-file"];
    assert_eq!(from_file.source, alone.source);
    assert_eq!(from_file.vm, alone.vm);
    assert_eq!(from_file.name, "headers");
    assert_eq!(from_file.body_limit, 2 << 20);
    for name in ["in-block", "direct"] {
        assert_eq!(proxy.filters[name].name, name);
        assert_eq!(proxy.filters[name].source, proxy.source);
        assert_eq!(proxy.filters[name].body_limit, proxy.limits.body);
        assert_eq!(proxy.filters[name].vm, proxy.filters["in-block"].vm);
    }
    // Its own upstream of the name goes before the proxy's.
    let names: Vec<&str> = from_file.upstreams.keys().map(String::as_str).collect();
    assert_eq!(names, ["auth", "127.0.0.1:9002", "backend", "secure", "plain"]);
    assert_eq!(from_file.upstreams["auth"].protocol, Protocol::Auto);
    assert!(Arc::ptr_eq(
        &from_file.upstreams["backend"],
        &proxy.upstreams["backend"]
    ));
}

#[test]
fn routes_carry_everything_they_need() {
    let proxy = proxy("proxy-snake.yaml");
    let names: Vec<&str> = proxy.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["app", "route-2", "route-3", "route-4", "route-5"]);

    let app = &proxy.routes[0];
    let hosts = vec![
        HostPattern::Exact("example.com".into()),
        HostPattern::Below(".example.com".into()),
    ];
    assert_eq!(
        app.matches,
        RouteMatch {
            hosts,
            path_prefix: "/app".into()
        }
    );
    assert!(app.strip_prefix);
    assert_eq!(app.host_rewrite.as_deref(), Some("inner.example.com"));
    assert_eq!(app.timeout, Duration::from_secs(30));
    assert_eq!(
        app.target,
        RouteTarget::Upstream(proxy.upstreams["backend"].clone())
    );

    let [plain, changed] = app.filters.as_slice() else {
        panic!("two filters")
    };
    assert_eq!(
        (plain.name.as_str(), changed.name.as_str()),
        ("from-file", "direct")
    );
    assert!(Arc::ptr_eq(&plain.filter, &proxy.filters["from-file"]));
    let expected = FilterConfig {
        configuration: br#"{"greeting":"hello"}"#.to_vec(),
        root_id: "other".into(),
        fail_policy: FailPolicy::Closed,
        ..(*proxy.filters["direct"]).clone()
    };
    assert_eq!(*changed.filter, expected);
    assert_eq!(proxy.filters["direct"].configuration, b"");

    assert_eq!(proxy.routes[1].target, RouteTarget::Echo);
    assert_eq!(proxy.routes[1].timeout, proxy.timeouts.upstream);
    let headers = [
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ];
    assert_eq!(
        proxy.routes[2].target,
        RouteTarget::Static(StaticResponse {
            status: 404,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body: b"Not here.\n".to_vec(),
        })
    );
    let RouteTarget::Upstream(upstream) = &proxy.routes[3].target else {
        panic!("an upstream")
    };
    assert_eq!(
        (upstream.name.as_str(), upstream.endpoints[0].port),
        ("http://127.0.0.1", 80)
    );
    let welcome = StaticResponse {
        status: 200,
        headers: vec![],
        body: b"{\"hello\":true}".to_vec(),
    };
    assert_eq!(proxy.routes[4].target, RouteTarget::Static(welcome));

    let taken = |host: &str, path: &str| {
        proxy
            .route(host.as_bytes(), path.as_bytes())
            .map(|route| route.name.as_str())
    };
    assert_eq!(taken("example.com:8080", "/app/x"), Some("app"));
    assert_eq!(taken("example.net", "/app/x"), Some("route-5"));
    assert_eq!(taken("example.net", "/echo?x"), Some("route-2"));
    assert_eq!(taken("", "*"), Some("route-5"));
}

#[test]
fn camel_case_means_the_same_to_the_proxy() {
    let snake = proxy("proxy-snake.yaml");
    let mut camel = proxy("proxy-camel.yaml");
    assert_ne!(camel.source, snake.source);
    let moved = |filter: &mut Arc<FilterConfig>| {
        let filter = Arc::make_mut(filter);
        if filter.source == camel.source {
            filter.source.clone_from(&snake.source);
        }
    };
    camel.filters.values_mut().for_each(moved);
    camel
        .routes
        .iter_mut()
        .flat_map(|route| &mut route.filters)
        .for_each(|filter| moved(&mut filter.filter));
    camel.source.clone_from(&snake.source);
    assert_eq!(camel, snake);
}

#[test]
fn the_files_of_a_configuration_are_known() {
    let valid = documents().join("valid");
    let mut files = vec![valid.join("proxy-snake.yaml"), valid.join("filter-snake.yaml")];
    files.extend(["module.wasm", "cert.pem", "key.pem", "ca.pem"].map(file));
    files.sort();
    assert_eq!(proxy("proxy-snake.yaml").files(), files);
}

#[test]
fn a_proxy_needs_no_more_than_a_route() {
    let proxy = parsed_proxy("routes: [{ upstream: echo }]");
    assert_eq!(
        proxy.listeners,
        [Listener {
            address: "127.0.0.1:8080".parse().unwrap(),
            tls: None
        }]
    );
    assert!(proxy.upstreams.is_empty() && proxy.filters.is_empty());
    assert!(proxy.workers >= 1);
    assert_eq!(
        proxy.limits,
        Limits {
            body: 1 << 20,
            header_bytes: 64 << 10,
            header_count: 128,
            connections: None
        }
    );
    assert_eq!(
        proxy.timeouts,
        Timeouts {
            request_header: Duration::from_secs(10),
            client_idle: Duration::from_secs(60),
            upstream: Duration::from_secs(60),
            upstream_idle: Duration::from_secs(60),
            stream_idle: Duration::from_secs(300),
            drain: Duration::from_secs(30),
        }
    );
    assert_eq!(proxy.access_log, AccessLog::Stdout);
    assert_eq!(proxy.log_level, LogLevel::Info);
    assert!(proxy.watch);
    assert_eq!(proxy.routes[0].matches, RouteMatch::all());
}

#[test]
fn access_logs_go_where_they_are_sent() {
    for (written, log) in [
        ("stdout", AccessLog::Stdout),
        ("stderr", AccessLog::Stderr),
        ("off", AccessLog::Off),
    ] {
        assert_eq!(
            parsed_proxy(&format!("access_log: {written}\nroutes: [{{ upstream: echo }}]")).access_log,
            log
        );
    }
}

#[test]
fn either_kind_of_document_is_told_apart() {
    let valid = documents().join("valid");
    let load = |name: &str| Config::load(&valid.join(name), &environment()).unwrap();
    assert_eq!(
        load("filter-camel.yaml"),
        Config::Filter(Box::new(filter("filter-camel.yaml")))
    );
    assert_eq!(
        load("proxy-camel.yaml"),
        Config::Proxy(Box::new(proxy("proxy-camel.yaml")))
    );
    assert!(load("proxy-camel.yaml").check_runtimes(&["wasmtime"]).is_err());
    assert!(load("filter-camel.yaml").check_runtimes(&["wasmi"]).is_ok());
}
