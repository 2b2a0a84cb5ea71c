//! The documents of `weir serve`.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::LogLevel;
use weir_config::{
    AccessLog, ClientIdentity, CodeCacheFolder, CompilerConfig, Config, Endpoint, FailPolicy, FilterConfig,
    HeadLimits, HostPattern, Limits, Listener, ListenerTls, ProcessConfig, Protocol, RequestTarget,
    RouteMatch, RouteTarget, Start, StaticResponse, Timeouts, Trailers, Upstream, UpstreamTls,
    WasmtimeOptions,
};

use super::*;

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
fn every_key_of_the_proxy_is_read() {
    let proxy = load_proxy("proxy-snake.yaml");
    assert_eq!(
        proxy.listeners,
        [
            Listener::new("127.0.0.1:8080".parse().unwrap()),
            Listener {
                address: "[::1]:8443".parse().unwrap(),
                tls: Some(ListenerTls {
                    certificate: file("cert.pem"),
                    private_key: file("key.pem"),
                    client_ca: Some(file("ca.pem")),
                }),
                trailers: Trailers::Pass,
            },
            Listener::new("127.0.0.1:0".parse().unwrap()),
        ]
    );

    let idle = Duration::from_secs(7);
    let head = HeadLimits {
        bytes: 32 << 10,
        lines: 50,
    };
    let backend = Upstream {
        idle_timeout: idle,
        head,
        ..upstream("backend", "127.0.0.1", 9000)
    };
    let secure = Upstream {
        tls: Some(UpstreamTls::default()),
        idle_timeout: idle,
        head,
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
        head,
        trailers: Trailers::Drop,
        ..upstream("auth", "", 0)
    };
    let plain = Upstream {
        idle_timeout: idle,
        tls: None,
        head,
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
            connections: Some(1000),
            refuse_escaped_slashes: false,
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
            tunnel_idle: Duration::from_secs(1200),
            drain: Duration::from_secs(5),
        }
    );
    assert_eq!(
        proxy.access_log,
        AccessLog::File(documents().join("valid/access.log"))
    );
    assert_eq!(
        proxy.process,
        ProcessConfig {
            admin: Some("127.0.0.1:9180".parse().unwrap()),
            code_cache: Some(CodeCacheFolder::Off),
            wasmtime: WasmtimeOptions {
                jitdump: true,
                ..WasmtimeOptions::default()
            },
            compiler: CompilerConfig {
                cpu_time: Duration::from_secs(20 * 60),
                ..CompilerConfig::default()
            },
            log_level: Some(LogLevel::Warn),
            host_memory: 2 << 30,
        }
    );
    assert!(!proxy.watch);
    assert_eq!(proxy.start, Start::Lenient);
    assert!(proxy.check_runtimes(&["wasmtime", "wasmi"]).is_ok());
}

#[test]
fn filters_stand_inline_or_in_files() {
    let proxy = load_proxy("proxy-snake.yaml");
    let names: Vec<&str> = proxy.filters.keys().map(String::as_str).collect();
    assert_eq!(names, ["from-file", "in-block", "direct"]);
    let alone = load_filter("filter-snake.yaml");
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
    let proxy = load_proxy("proxy-snake.yaml");
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
            path_prefix: "/app".into(),
            as_sent: false,
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
        fail_policy_given: true,
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
            .routes
            .iter()
            .find(|route| {
                route
                    .matches
                    .matches(&RequestTarget::new(host.as_bytes(), path.as_bytes()))
            })
            .map(|route| route.name.as_str())
    };
    assert_eq!(taken("example.com:8080", "/app/x"), Some("app"));
    assert_eq!(taken("example.net", "/app/x"), Some("route-5"));
    assert_eq!(taken("example.net", "/echo?x"), Some("route-2"));
    assert_eq!(taken("", "*"), Some("route-5"));
}

#[test]
fn camel_case_means_the_same_to_the_proxy() {
    let snake = load_proxy("proxy-snake.yaml");
    let mut camel = load_proxy("proxy-camel.yaml");
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
    assert_eq!(load_proxy("proxy-snake.yaml").files(), files);
}

#[test]
fn a_proxy_needs_no_more_than_a_route() {
    let proxy = parsed_proxy("routes: [{ upstream: echo }]");
    assert_eq!(
        proxy.listeners,
        [Listener::new("127.0.0.1:8080".parse().unwrap())]
    );
    assert!(proxy.upstreams.is_empty() && proxy.filters.is_empty());
    assert!(proxy.workers >= 1);
    assert_eq!(
        proxy.limits,
        Limits {
            body: 1 << 20,
            header_bytes: 64 << 10,
            header_count: 128,
            connections: None,
            refuse_escaped_slashes: false,
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
            tunnel_idle: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
        }
    );
    assert_eq!(proxy.access_log, AccessLog::Stdout);
    assert_eq!(proxy.process, ProcessConfig::default());
    assert!(proxy.watch);
    assert_eq!(proxy.start, Start::Strict);
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
        Config::Filter(Box::new(load_filter("filter-camel.yaml")))
    );
    assert_eq!(
        load("proxy-camel.yaml"),
        Config::Proxy(Box::new(load_proxy("proxy-camel.yaml")))
    );
    assert!(load("proxy-camel.yaml").check_runtimes(&["wasmtime"]).is_err());
    assert!(load("filter-camel.yaml").check_runtimes(&["wasmi"]).is_ok());
}
