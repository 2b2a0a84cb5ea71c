//! What the cache keeps where a document says `cache_transformed`: what the whole chain made, under its mark, and nothing that
//! went wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Outcome, Request, Response};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Mode, Origin, PATIENCE};

use crate::{adds, appends, edits, get, module, request, values};

/// A page that the cache keeps.
const PAGE: &str = "?header=cache-control:max-age=600&header=content-type:text/plain&body=page";

fn kept(mut block: Value) -> Value {
    set(&mut block, "cache_transformed", json!(true));
    block
}

/// One origin below four paths, each with a chain of its own, and below `/plain/` without filters. All share the cache: what is
/// behind the first part of the path is the key.
struct Rules {
    origin: Origin,
    ats: Ats,
}

impl Rules {
    /// Starts a server with these chains, by the first part of the path.
    fn start(chains: &[(&str, Vec<Value>)], change: impl FnOnce(AtsConfig) -> AtsConfig) -> Self {
        let origin = Origin::start().unwrap();
        let mut config = AtsConfig::new(origin.address()).rule(format!("map /plain/ {}/", origin.url()));
        config.mode = Mode::Remap;
        for (path, chain) in chains {
            let mut rule = format!("map /{path}/ {}/ @plugin=wasm.so", origin.url());
            for block in chain {
                let file = format!("{}.yaml", block["name"].as_str().unwrap());
                config = config.filter_file(&file, block);
                rule.push_str(&format!(" @pparam={file}"));
            }
            config = config.rule(rule);
        }
        let ats = Ats::start(&change(config)).unwrap();
        Self { origin, ats }
    }

    fn get(&self, path: &str) -> Response {
        get(&self.ats, path)
    }

    /// Sends a request, and says how often the origin was asked for it.
    fn asked(&self, request_: &Request) -> (Response, usize) {
        let before = self.origin.records().len();
        let response = request(self.ats.address(), request_);
        (response, self.origin.records().len() - before)
    }
}

fn fails(name: &str, open: bool) -> Value {
    let mut block = filter(name, &module("misbehave"), "wasmtime");
    set(&mut block, "fail_open", json!(open));
    kept(block)
}

/// Asks until the filter serves again, which shows by its looking at the request.
fn until_whole(rules: &Rules, path: &str) -> Response {
    let until = Instant::now() + PATIENCE;
    loop {
        let response = rules.get(path);
        if response.status == 200 {
            return response;
        }
        assert!(Instant::now() < until, "{response:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn an_answer_for_a_failed_filter_is_not_stored() {
    let rules = Rules::start(&[("closed", vec![fails("closed", false)])], |config| config);
    for callback in ["response_headers", "response_body"] {
        let path = format!("/closed/{callback}{PAGE}");
        let told = Request::get(&path).header("x-misbehave", format!("panic@{callback}"));
        assert_eq!(request(rules.ats.address(), &told).status, 503);
        let plain = rules.get(&format!("/plain/{callback}{PAGE}"));
        assert_eq!((plain.status, plain.text().as_str()), (200, "page"), "{plain:?}");
        let response = until_whole(&rules, &path);
        assert_eq!(response.text(), "page");
    }
}

#[test]
fn a_response_that_a_failed_filter_did_not_see_is_not_stored() {
    let chain = vec![appends("appends"), fails("open", true)];
    let rules = Rules::start(&[("open", chain)], |config| config);
    for callback in ["request_headers", "response_headers", "response_body"] {
        let path = format!("/open/{callback}{PAGE}");
        let told = Request::get(&path).header("x-misbehave", format!("panic@{callback}"));
        let response = request(rules.ats.address(), &told);
        assert_eq!(response.text(), "page<appends>", "{callback}: {response:?}");
        let plain = rules.get(&format!("/plain/{callback}{PAGE}"));
        assert_eq!(plain.text(), "page", "{callback}: {plain:?}");
    }
}

/// The head has gone out and the object is being stored when the filter fails.
#[test]
fn a_response_whose_filter_fails_late_is_not_stored() {
    let dies = |name: &str, open: bool| {
        let mut block = kept(edits(name, json!([["response_trailers", "panic"]])));
        set(&mut block, "fail_open", json!(open));
        (name.to_owned(), vec![block])
    };
    let chains = [dies("open", true), dies("closed", false)];
    let chains = chains
        .each_ref()
        .map(|(name, chain)| (name.as_str(), chain.clone()));
    let rules = Rules::start(&chains, |config| config);
    for chain in ["open", "closed"] {
        let page = format!(
            "{chain}?header=cache-control:max-age=600&header=content-type:text/event-stream&chunk=one&chunk=two&delay=300"
        );
        let request = Request::get(&format!("/{chain}/{page}"));
        let outcome = Http1::connect(rules.ats.address()).and_then(|mut client| client.request(&request));
        match outcome {
            Ok(Outcome::Response(response)) if chain == "open" => assert_eq!(response.text(), "onetwo"),
            Err(_) | Ok(Outcome::Reset) if chain == "closed" => {}
            outcome => panic!("{chain}: {outcome:?}"),
        }
        let (response, asked) = rules.asked(&Request::get(&format!("/plain/{page}")));
        assert_eq!(
            (response.text().as_str(), asked),
            ("onetwo", 1),
            "{chain}: {response:?}"
        );
    }
}

/// With a generation the server names no object to a plugin, so that the client is cut off rather than the object stored.
#[test]
fn a_late_failure_is_not_stored_under_a_generation() {
    let mut dies = kept(edits("dies", json!([["response_trailers", "panic"]])));
    set(&mut dies, "fail_open", json!(true));
    let rules = Rules::start(&[("open", vec![dies])], |config| {
        config.record("proxy.config.http.cache.generation", 5)
    });
    let page = "g?header=cache-control:max-age=600&header=content-type:text/event-stream&chunk=one&chunk=two&delay=300";
    let request = Request::get(&format!("/open/{page}"));
    let outcome = Http1::connect(rules.ats.address()).and_then(|mut client| client.request(&request));
    assert!(matches!(outcome, Err(_) | Ok(Outcome::Reset)), "{outcome:?}");
    let (response, asked) = rules.asked(&Request::get(&format!("/plain/{page}")));
    assert_eq!((response.text().as_str(), asked), ("onetwo", 1), "{response:?}");
}

#[test]
fn a_response_over_the_limit_is_not_stored() {
    let mut small = kept(appends("small"));
    set(&mut small, "limits.body", json!("1KiB"));
    let rules = Rules::start(&[("small", vec![small])], |config| config);
    let page = "large?header=cache-control:max-age=600&size=500000";
    assert_eq!(rules.get(&format!("/small/{page}")).status, 500);
    let plain = rules.get(&format!("/plain/{page}"));
    assert_eq!((plain.status, plain.body.len()), (200, 500_000), "{plain:?}");
}

#[test]
fn an_answer_of_a_filter_is_not_stored() {
    let lines = json!([["x-denied", "1"]]);
    let denies = edits(
        "denies",
        json!([["response", { "reply_and_pause": [451, "no", lines] }]]),
    );
    let rules = Rules::start(&[("denies", vec![kept(denies)])], |config| config);
    for _ in 0..2 {
        let response = rules.get(&format!("/denies/a{PAGE}"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (451, "no"),
            "{response:?}"
        );
        assert_eq!(values(&response, "x-denied"), ["1"]);
    }
    let plain = rules.get(&format!("/plain/a{PAGE}"));
    assert_eq!((plain.status, plain.text().as_str()), (200, "page"), "{plain:?}");
}

/// What filters made once is what all get, whatever the response is like; filters of the same chain that say nothing about the
/// cache included.
#[test]
fn results_are_made_once_for_every_kind_of_response() {
    let chain = vec![adds("first", "x-first", "1"), kept(appends("kept"))];
    let rules = Rules::start(&[("kept", chain)], |config| {
        config.record("proxy.config.http.negative_caching_enabled", 1)
    });
    for (name, page, body) in [
        ("page", PAGE.to_owned(), "page<kept>"),
        (
            "empty",
            "?header=cache-control:max-age=600&body=".to_owned(),
            "<kept>",
        ),
        (
            "moved",
            "?status=301&header=location:/y&header=cache-control:max-age=600&body=".to_owned(),
            "<kept>",
        ),
        ("none", "?status=204".to_owned(), ""),
        ("missing", "?status=404&body=missing".to_owned(), "missing<kept>"),
    ] {
        let path = format!("/kept/{name}{page}");
        let first = rules.get(&path);
        for response in [&first, &rules.get(&path), &rules.get(&path)] {
            for header in ["x-first", "x-kept"] {
                assert_eq!(values(response, header), ["1"], "{name}: {response:?}");
            }
            assert_eq!(response.status, first.status, "{name}: {response:?}");
            let text = response.text();
            assert!(
                text == body || (text.is_empty() && name == "moved") || (text.is_empty() && name == "empty"),
                "{name}: {response:?}"
            );
            assert_eq!(text, first.text(), "{name}");
            let length = response.header("content-length");
            let expected = (first.status != 204).then(|| text.len().to_string());
            assert_eq!(length, expected, "{name}: {response:?}");
        }
        let plain = rules.get(&format!("/plain/{name}{page}"));
        assert_eq!(
            plain.text(),
            first.text(),
            "{name}: the object is not the filters'"
        );
    }
    assert_eq!(rules.origin.records().len(), 5, "{:?}", rules.origin.records());
}

#[test]
fn no_filter_sees_a_stale_object_that_is_served_for_a_failing_origin() {
    let rules = Rules::start(&[("kept", vec![kept(appends("kept"))])], |config| {
        config.record("proxy.config.http.negative_revalidating_enabled", 1)
    });
    let page =
        "?etag=1&revalidate=503&header=cache-control:max-age=1&header=content-type:text/plain&body=page";
    let path = format!("/kept/stale{page}");
    assert_eq!(rules.get(&path).text(), "page<kept>");
    let until = Instant::now() + PATIENCE;
    let mut stale = 0;
    while stale < 3 {
        assert!(Instant::now() < until, "never stale");
        let (response, asked) = rules.asked(&Request::get(&path));
        assert_eq!(response.text(), "page<kept>", "{response:?}");
        assert_eq!(values(&response, "x-kept"), ["1"], "{response:?}");
        stale += asked;
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Fields that come with a confirmation must not take the place of what filters have made of them.
#[test]
fn a_confirmed_object_keeps_what_filters_made() {
    let edit = json!([["response", { "replace": ["x-lang", "filtered"] }]]);
    let rules = Rules::start(&[("kept", vec![kept(edits("kept", edit))])], |config| config);
    let page = "?etag=1&header=cache-control:max-age=1&header=x-lang:origin&body=page";
    let path = format!("/kept/confirmed{page}");
    let until = Instant::now() + PATIENCE;
    while rules.origin.records().len() < 3 {
        assert!(Instant::now() < until, "never asked again");
        let response = rules.get(&path);
        assert_eq!(values(&response, "x-lang"), ["filtered"], "{response:?}");
        assert_eq!(response.text(), "page");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// An object without a mark is the origin's, whoever had it stored.
#[test]
fn an_object_without_a_mark_is_filtered_on_each_hit() {
    let rules = Rules::start(&[("kept", vec![kept(appends("kept"))])], |config| config);
    assert_eq!(rules.get(&format!("/plain/before{PAGE}")).text(), "page");
    for _ in 0..3 {
        let (response, asked) = rules.asked(&Request::get(&format!("/kept/before{PAGE}")));
        assert_eq!(
            (response.text().as_str(), asked),
            ("page<kept>", 0),
            "{response:?}"
        );
        assert_eq!(values(&response, "x-kept"), ["1"]);
    }
    assert_eq!(rules.get(&format!("/plain/before{PAGE}")).text(), "page");
}

/// What other filters have made cannot be unmade: the origin is asked.
#[test]
fn an_object_of_other_filters_counts_as_a_miss() {
    let chains = [
        ("one", vec![kept(appends("one"))]),
        ("two", vec![kept(appends("two"))]),
        ("three", vec![appends("three")]),
        (
            "head",
            vec![edits(
                "head",
                json!([["request", "decline"], ["response", { "add": ["x-head", "1"] }]]),
            )],
        ),
    ];
    let rules = Rules::start(&chains, |config| config);
    let path = |chain: &str| format!("/{chain}/shared{PAGE}");
    assert_eq!(rules.get(&path("one")).text(), "page<one>");
    for _ in 0..2 {
        for chain in ["two", "three", "one"] {
            let response = rules.get(&path(chain));
            assert_eq!(response.text(), format!("page<{chain}>"), "{response:?}");
            assert_eq!(values(&response, &format!("x-{chain}")), ["1"], "{response:?}");
        }
    }
    let (response, asked) = rules.asked(&Request::get(&path("one")));
    assert_eq!((response.text().as_str(), asked), ("page<one>", 0));
}

/// Filters of heads alone see an object as it is, but for those that have made it.
#[test]
fn filters_of_heads_see_the_objects_of_others() {
    let first = json!([["request", "decline"], ["response", { "add": ["x-first", "1"] }]]);
    let second = json!([["request", "decline"], ["response", { "add": ["x-second", "1"] }]]);
    let chains = [
        ("all", vec![edits("first", first.clone()), kept(appends("one"))]),
        ("heads", vec![edits("first", first), edits("second", second)]),
    ];
    let rules = Rules::start(&chains, |config| config);
    assert_eq!(rules.get(&format!("/all/shared{PAGE}")).text(), "page<one>");
    let (response, asked) = rules.asked(&Request::get(&format!("/heads/shared{PAGE}")));
    assert_eq!((response.text().as_str(), asked), ("page<one>", 0));
    for header in ["x-first", "x-second", "x-one"] {
        assert_eq!(values(&response, header), ["1"], "{response:?}");
    }
}

/// Neither an origin nor a client can pretend that filters have been there.
#[test]
fn a_mark_from_outside_is_no_mark() {
    let rules = Rules::start(&[("kept", vec![kept(appends("kept"))])], |config| config);
    let page = format!("{PAGE}&header=%40weir-made-by:kept");
    for _ in 0..2 {
        assert_eq!(rules.get(&format!("/kept/spoofed{page}")).text(), "page<kept>");
    }
}

/// Filters of `plugin.config` that say nothing about the cache, and one of a rule that keeps what all of them make.
#[test]
fn a_rule_keeps_what_filters_of_plugin_config_made_too() {
    let look = json!([["response", { "show_property": ["x-look", "ats.cache.lookup_status"] }]]);
    let global = edits("global", look);
    let rules = Rules::start(&[("kept", vec![kept(appends("kept"))])], |config| {
        let mut config = config.filter_file("global.yaml", &global);
        config.plugin.push("wasm.so global.yaml".to_owned());
        config
    });
    for round in 0..3 {
        let (response, asked) = rules.asked(&Request::get(&format!("/kept/both{PAGE}")));
        assert_eq!(response.text(), "page<kept>", "{response:?}");
        assert_eq!(values(&response, "x-look"), ["miss"], "{round}: {response:?}");
        assert_eq!(asked, usize::from(round == 0));
    }
}

/// A transform of another plugin that wants the origin's response in the cache, before the filters and behind them.
#[test]
fn another_transform_can_keep_its_result_out_of_the_cache() {
    let lua = "function upper(data, eos)\n if eos == 1 then return string.upper(data) .. '[lua]', eos end\n \
               return string.upper(data), eos\nend\n\
               function do_remap()\n ts.hook(TS_LUA_RESPONSE_TRANSFORM, upper)\n ts.http.resp_cache_transformed(0)\n \
               ts.http.resp_cache_untransformed(1)\n return 0\nend\n";
    let origin = Origin::start().unwrap();
    let mut config = AtsConfig::new(origin.address()).filter_file("kept.yaml", &kept(appends("kept")));
    config.files.push(("upper.lua".to_owned(), lua.to_owned()));
    let (wasm, lua) = (
        "@plugin=wasm.so @pparam=kept.yaml",
        "@plugin=tslua.so @pparam=upper.lua",
    );
    let config = config
        .rule(format!("map /before/ {}/before/ {lua} {wasm}", origin.url()))
        .rule(format!("map /after/ {}/after/ {wasm} {lua}", origin.url()));
    let ats = Ats::start(&config).unwrap();
    for (path, text) in [("before", "PAGE[lua]<kept>"), ("after", "PAGE<KEPT>[lua]")] {
        for _ in 0..3 {
            assert_eq!(get(&ats, &format!("/{path}/a{PAGE}")).text(), text);
        }
        let empty = get(&ats, &format!("/{path}/b?status=204"));
        assert_eq!(
            (empty.status, empty.header("content-length")),
            (204, None),
            "{empty:?}"
        );
    }
    assert_eq!(origin.records().len(), 4);
}
