//! Answers of filters and of the plugin itself, as the server takes them over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Outcome, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Mode, Origin, PATIENCE};

use crate::{edits, module, request, values};

/// Origins that have a name each.
const NAMED: usize = 32;

/// Gets many answers without a body from a filter, and then goes to origins that have names: the server's memory for
/// looking those up must not be what the answers were made of.
fn answers_without_a_body(block: Value, status: u16) {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let lines: String = (0..NAMED)
        .map(|number| format!("127.0.0.1 origin{number}.test\n"))
        .collect();
    std::fs::write(&hosts, lines).unwrap();
    let mut config = AtsConfig::new(origin.address())
        .filter(block)
        .record("proxy.config.hostdb.host_file.path", hosts.to_str().unwrap());
    config.mode = Mode::Remap;
    for number in 0..NAMED {
        let port = origin.address().port();
        config = config.rule(format!("map /{number}/ http://origin{number}.test:{port}/"));
    }
    let ats = Ats::start(&config).unwrap();
    let get = |path: &str| {
        let outcome =
            Http1::connect(ats.address()).and_then(|mut client| client.request(&Request::get(path)));
        let response = outcome.and_then(Outcome::response);
        response.unwrap_or_else(|error| panic!("{path}: {error}\n{}", ats.logs().text()))
    };
    // The server reads the file of hosts some time after it has started.
    let begin = Instant::now();
    while get("/0/").status != 200 {
        assert!(begin.elapsed() < PATIENCE, "{}", ats.logs().text());
        #[expect(clippy::disallowed_methods, reason = "the test polls another process")]
        std::thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..10 {
        for _ in 0..40 {
            let response = get("/");
            assert_eq!(response.status, status, "{response:?}");
            assert_eq!(response.body, b"", "{response:?}");
            let length = response.header("content-length");
            assert_eq!(length.as_deref(), Some("0"), "{response:?}");
        }
        for number in 0..NAMED {
            let response = get(&format!("/{number}/"));
            assert_eq!(response.status, 200, "{response:?}");
        }
    }
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
}

#[test]
fn bodyless_answers_of_filters_leave_the_servers_memory_whole() {
    let guest = Guests::build()
        .unwrap()
        .example("send_local_response_empty")
        .unwrap();
    answers_without_a_body(filter("empty", &guest, "wasmtime"), 403);
}

#[test]
fn bodyless_answers_of_the_plugin_leave_the_servers_memory_whole() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, "no module").unwrap();
    let mut block = filter("broken", &broken, "wasmtime");
    set(&mut block, "fail_open", json!(false));
    answers_without_a_body(block, 503);
}

/// A server with a rule that loads the plugin once for each of two filters.
fn rule_with(first: &Value, second: &Value, origin: &Origin) -> Ats {
    let both = "@plugin=wasm.so @pparam=first.yaml @plugin=wasm.so @pparam=second.yaml";
    let config = AtsConfig::new(origin.address())
        .filter_file("first.yaml", first)
        .filter_file("second.yaml", second)
        .rule(format!("map /asked {}/asked {both}", origin.url()));
    Ats::start(&config).unwrap()
}

/// A filter that adds a field to requests, and knows nothing of the one before it.
fn second() -> Value {
    let mut block = filter("second", &module("header-rewrite"), "wasmtime");
    set(
        &mut block,
        "configuration",
        json!({ "request": { "set": { "x-second": "1" } } }),
    );
    block
}

#[test]
fn an_answer_stands_before_a_further_plugin_of_the_rule() {
    let guest = Guests::build()
        .unwrap()
        .example("send_local_response_empty")
        .unwrap();
    let origin = Origin::start().unwrap();
    let ats = rule_with(&filter("first", &guest, "wasmtime"), &second(), &origin);
    for asked in [Request::get("/asked"), Request::post("/asked", "hello")] {
        let response = request(ats.address(), &asked);
        assert_eq!(response.status, 403, "{response:?}\n{}", ats.logs().text());
        assert_eq!(values(&response, "x-why"), ["none of yours"], "{response:?}");
    }
    assert!(origin.records().is_empty(), "{:?}", origin.records());
}

/// An authorisation that is under way is not left behind by the plugin that comes after it.
#[test]
fn a_pause_holds_a_further_plugin_of_the_rule() {
    for status in [200, 403] {
        let origin = Origin::start().unwrap();
        let service = Origin::start().unwrap();
        let mut first = filter("first", &module("ext-auth"), "wasmtime");
        let path = format!("/?status={status}&delay=100");
        set(
            &mut first,
            "configuration",
            json!({ "upstream": "auth", "path": path }),
        );
        set(&mut first, "upstreams.auth", json!(service.url()));
        let ats = rule_with(&first, &second(), &origin);
        for asked in [Request::get("/asked"), Request::post("/asked", "hello")] {
            let response = request(ats.address(), &asked);
            assert_eq!(response.status, status, "{response:?}\n{}", ats.logs().text());
        }
        let expected = if status == 200 { 2 } else { 0 };
        let records = origin.records();
        assert_eq!(records.len(), expected, "{records:?}");
        for record in records {
            assert_eq!(record.values("x-second"), [b"1"], "{record:?}");
        }
        assert_eq!(service.records().len(), 2, "{:?}", service.records());
    }
}

/// The head waits in the first filter until the body has come, and goes through the second before.
#[test]
fn a_head_that_waits_for_its_body_passes_further_filters() {
    let guest = Guests::build()
        .unwrap()
        .example("allow_on_headers_stop_iteration")
        .unwrap();
    let mut first = filter("first", &guest, "wasmtime");
    set(&mut first, "allow_on_headers_stop_iteration", json!(true));
    let origin = Origin::start().unwrap();
    let rule = format!(
        "map /asked {}/asked @plugin=wasm.so @pparam=second.yaml",
        origin.url()
    );
    let in_plugin_config = AtsConfig::new(origin.address())
        .filter(first.clone())
        .filter_file("second.yaml", &second())
        .rule(rule);
    for ats in [
        rule_with(&first, &second(), &origin),
        Ats::start(&in_plugin_config).unwrap(),
    ] {
        let asked = Request::post("/asked?body=answer", "question");
        let response = request(ats.address(), &asked);
        assert_eq!(response.status, 200, "{response:?}\n{}", ats.logs().text());
        assert_eq!(values(&response, "x-body"), ["answer"], "{response:?}");
        let record = origin.records().pop().unwrap();
        assert_eq!(record.values("x-second"), [b"1"], "{record:?}");
        assert_eq!(record.values("x-body"), [b"question"], "{record:?}");
    }
}

/// A filter that answers the request sees its own answer as a response, and answers again: that is refused, and what the filter
/// does then holds nothing up.
#[test]
fn a_refused_answer_holds_nothing_up() {
    let twice = json!([
        ["request", { "reply_and_pause": [403, "first", [["x-first", "1"]]] }],
        ["response", { "reply_and_pause": [451, "second", []] }],
    ]);
    for mode in [Mode::Global, Mode::Remap] {
        let origin = Origin::start().unwrap();
        let mut config = AtsConfig::new(origin.address()).filter(edits("twice", twice.clone()));
        config.mode = mode;
        let ats = Ats::start(&config).unwrap();
        let response = request(ats.address(), &Request::get("/"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (403, "first"),
            "{response:?}"
        );
        assert_eq!(values(&response, "x-first"), ["1"], "{response:?}");
    }
}

/// A line of `plugin.config` or a rule with `header_rewrite.so`, and its file.
const OTHERS: &str = "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header X-Other 1\nset-header Strict-Transport-Security \"max-age=1\"\n";

fn denies() -> Value {
    edits(
        "denies",
        json!([["request", { "reply_and_pause": [403, "no", [["x-denied", "1"]]] }]]),
    )
}

#[test]
fn an_answer_keeps_the_fields_of_other_plugins() {
    let declines = json!([["request", "decline"], ["response", { "reply_and_pause": [403, "no", [["x-denied", "1"]]] }]]);
    for (block, method, page) in [
        (denies(), "GET", "/"),
        (denies(), "HEAD", "/"),
        (
            edits("denies", declines.clone()),
            "HEAD",
            "/?header=x-origin-only:1",
        ),
        (
            edits("denies", declines),
            "GET",
            "/?status=204&header=x-origin-only:1",
        ),
    ] {
        for before in [true, false] {
            let origin = Origin::start().unwrap();
            let mut config = AtsConfig::new(origin.address()).filter_file("denies.yaml", &block);
            config.files.push(("others.conf".to_owned(), OTHERS.to_owned()));
            config.plugin = vec![
                "header_rewrite.so others.conf".to_owned(),
                "wasm.so denies.yaml".to_owned(),
            ];
            if !before {
                config.plugin.reverse();
            }
            let ats = Ats::start(&config).unwrap();
            let response = request(ats.address(), &Request::new(method, page));
            assert_eq!(response.status, 403, "{response:?}");
            for header in ["x-other", "x-denied"] {
                assert_eq!(
                    values(&response, header),
                    ["1"],
                    "{before} {method} {page}: {response:?}"
                );
            }
            assert_eq!(values(&response, "strict-transport-security"), ["max-age=1"]);
            assert!(values(&response, "x-origin-only").is_empty(), "{response:?}");
        }
    }
}

/// Of two answers in one rule the first is sent, and it is whole.
#[test]
fn the_first_of_two_answers_in_a_rule_is_sent_whole() {
    let lua = "function do_remap()\n ts.http.set_resp(410, 'lua says no')\n return 0\nend\n";
    let plugins = [
        ("@plugin=header_rewrite.so @pparam=status.conf", 410),
        ("@plugin=tslua.so @pparam=answer.lua", 410),
    ];
    for (other, status) in plugins {
        let origin = Origin::start().unwrap();
        let wasm = "@plugin=wasm.so @pparam=denies.yaml";
        let mut config = AtsConfig::new(origin.address())
            .filter_file("denies.yaml", &denies())
            .rule(format!("map /first/ {}/ {wasm} {other}", origin.url()))
            .rule(format!("map /second/ {}/ {other} {wasm}", origin.url()));
        config.files.push(("answer.lua".to_owned(), lua.to_owned()));
        config.files.push((
            "status.conf".to_owned(),
            "cond %{REMAP_PSEUDO_HOOK}\nset-status 410\n".to_owned(),
        ));
        let ats = Ats::start(&config).unwrap();
        let response = request(ats.address(), &Request::get("/first/"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (403, "no"),
            "{other}: {response:?}"
        );
        assert_eq!(values(&response, "x-denied"), ["1"], "{other}: {response:?}");
        assert_eq!(
            values(&response, "content-type"),
            ["text/plain"],
            "{other}: {response:?}"
        );
        let response = request(ats.address(), &Request::get("/second/"));
        assert_eq!(response.status, status, "{other}: {response:?}");
        assert_ne!(response.text(), "no", "{other}");
        assert!(values(&response, "x-denied").is_empty(), "{other}: {response:?}");
        assert!(origin.records().is_empty());
    }
}

/// A redirect that a filter gives once it has seen the response's head, for each kind of response.
#[test]
fn a_redirect_replaces_every_kind_of_response() {
    let answer = json!(["response", { "reply_and_pause": [302, "moved", [["location", "/login"], ["x-moved", "1"]]] }]);
    let whole = edits("whole", json!([answer]));
    let declined = edits("declined", json!([["request", "decline"], answer]));
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address())
        .filter_file("whole.yaml", &whole)
        .filter_file("declined.yaml", &declined)
        .rule(format!(
            "map /whole/ {}/ @plugin=wasm.so @pparam=whole.yaml",
            origin.url()
        ))
        .rule(format!(
            "map /declined/ {}/ @plugin=wasm.so @pparam=declined.yaml",
            origin.url()
        ));
    config
        .records
        .push(("proxy.config.http.negative_caching_enabled".to_owned(), 1.into()));
    let ats = Ats::start(&config).unwrap();
    let tagged = "a?etag=1&header=cache-control:max-age=600&body=page&header=x-page:1";
    let ranged = "b?ranges&body=0123456789&header=x-page:1";
    for (name, method, page, extra) in [
        ("a page", "GET", "p?header=x-page:1&body=page", None),
        ("an empty page", "GET", "e?header=x-page:1&body=", None),
        ("no content", "GET", "n?header=x-page:1&status=204", None),
        (
            "an error",
            "GET",
            "m?header=x-page:1&status=404&body=missing",
            None,
        ),
        ("a tag", "GET", tagged, None),
        ("a known tag", "GET", tagged, Some(("if-none-match", "\"1\""))),
        ("a part of a hit", "GET", tagged, Some(("range", "bytes=1-2"))),
        ("a part", "GET", ranged, Some(("range", "bytes=1-3"))),
        ("a head", "HEAD", "h?header=x-page:1&body=page", None),
    ] {
        for path in ["whole", "declined"] {
            for _ in 0..2 {
                let mut wanted = Request::new(method, &format!("/{path}/{page}"));
                if let Some((field, value)) = extra {
                    wanted = wanted.header(field, value);
                }
                let mut client = Http1::connect(ats.address()).unwrap();
                let response = client.request(&wanted).and_then(Outcome::response);
                let response = response.unwrap_or_else(|error| panic!("{path} {name}: {error}"));
                assert_eq!(response.status, 302, "{path} {name}: {response:?}");
                assert_eq!(
                    values(&response, "location"),
                    ["/login"],
                    "{path} {name}: {response:?}"
                );
                assert_eq!(values(&response, "x-moved"), ["1"], "{path} {name}: {response:?}");
                assert!(
                    values(&response, "x-page").is_empty(),
                    "{path} {name}: {response:?}"
                );
                if path == "whole" && method != "HEAD" {
                    assert_eq!(response.text(), "moved", "{path} {name}: {response:?}");
                }
                assert!(
                    values(&response, "content-range").is_empty(),
                    "{path} {name}: {response:?}"
                );
                // The message ended where it said.
                let next = client.request(&Request::get("/")).and_then(Outcome::response);
                let next = next.unwrap_or_else(|error| panic!("after {path} {name}: {error}"));
                assert_eq!(next.status, 200, "after {path} {name}: {next:?}");
            }
        }
    }
}
