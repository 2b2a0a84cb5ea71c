//! What the filters of a remap rule see of a request, and where their edits lead.

use serde_json::{Value, json};
use weir_testkit::client::Request;
use weir_testkit::config::set;
use weir_testkit::{Ats, AtsConfig, Origin};

use crate::{edits, get, module, request, values};

/// Rules that rewrite paths: the rule, the path that a client asks for, and the path that the origin gets.
const RULES: [(&str, &str, &str); 5] = [
    ("/plain/", "/", "/plain/a/b"),
    ("/deep/", "/root/dir/", "/deep/a/b"),
    ("/cut", "/", "/cut/a/b"),
    ("/to/", "/file", "/to/a/b"),
    ("/long/prefix/", "/s/", "/long/prefix/a/b"),
];

struct Rules {
    origin: Origin,
    ats: Ats,
}

impl Rules {
    fn start(block: &Value, change: impl FnOnce(AtsConfig) -> AtsConfig) -> Self {
        let origin = Origin::start().unwrap();
        let mut config = AtsConfig::new(origin.address()).filter_file("rule.yaml", block);
        for (from, to, _) in RULES {
            let rule = format!("map http://weir.test{from} {}{to}", origin.url());
            config = config.rule(format!("{rule} @plugin=wasm.so @pparam=rule.yaml"));
        }
        let ats = Ats::start(&change(config)).unwrap();
        Self { origin, ats }
    }

    /// Sends a request, and returns what the origin got.
    fn sent(&self, path: &str) -> (String, String, Vec<String>) {
        let seen = self.origin.records().len();
        let response = request(self.ats.address(), &Request::get(path));
        assert_eq!(response.status, 200, "{path}: {response:?}");
        let records = self.origin.records();
        let record = &records[seen];
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let list = |name| record.values(name).into_iter().map(text).collect::<Vec<_>>();
        (record.path.clone(), list("host").join(","), list("x-target"))
    }
}

#[test]
fn filters_of_a_rule_see_what_the_client_asked_for() {
    for hold in [false, true] {
        let mut block = edits("shows", json!([["request", { "show_target": "x-target" }]]));
        if hold {
            // A call of a filter before holds the request at the mapping.
            let call = [[":method", "GET"], [":path", "/called"], [":authority", "origin"]];
            let edit =
                json!([["request", { "call": [call, []] }], ["request", { "show_target": "x-target" }]]);
            set(&mut block, "configuration", edit);
        }
        let origin = Origin::start().unwrap();
        set(&mut block, "upstreams", json!({ "origin": origin.url() }));
        let rules = Rules::start(&block, |config| config);
        for (_, _, path) in RULES {
            let (_, _, target) = rules.sent(&format!("{path}?q=1"));
            assert_eq!(
                target,
                [&format!("{path}?q=1"), "weir.test", "http"],
                "{hold} {path}"
            );
        }
    }
}

#[test]
fn a_path_that_a_filter_sets_goes_through_the_rule() {
    let block = edits("sets", json!([]));
    let rules = Rules::start(&block, |config| config);
    for (from, to, path) in RULES {
        let (unchanged, host, _) = rules.sent(path);
        let edit = json!([
            ["request", { "replace": [":path", format!("{}?n=1", path.replace("a/b", "c/d"))] }],
            ["request", { "show_target": "x-target" }],
        ]);
        let seen = rules.origin.records().len();
        let told = Request::get(path).header("x-edits", edit.to_string());
        assert_eq!(request(rules.ats.address(), &told).status, 200, "{from} {to}");
        let records = rules.origin.records();
        let record = &records[seen];
        assert_eq!(
            record.path,
            format!("{}?n=1", unchanged.replace("a/b", "c/d")),
            "{from} {to}"
        );
        assert_eq!(record.values("host"), [host.as_bytes()]);
        let shown = format!("{}?n=1", path.replace("a/b", "c/d"));
        assert_eq!(record.values("x-target")[0], shown.as_bytes(), "{from} {to}");
        // A path that is not the rule's is refused.
        let edit = json!([["request", { "replace": [":path", "/elsewhere"] }]]);
        let told = Request::get(path).header("x-edits", edit.to_string());
        assert_eq!(request(rules.ats.address(), &told).status, 200, "{from} {to}");
        assert_eq!(
            rules.origin.records().last().unwrap().path,
            unchanged,
            "{from} {to}"
        );
    }
}

/// Neither another authority nor another scheme sends a request elsewhere than to the rule's origin.
#[test]
fn the_origin_is_the_rules() {
    for pristine in [0, 1] {
        let rules = Rules::start(&edits("sets", json!([])), |config| {
            config.record("proxy.config.url_remap.pristine_host_hdr", pristine)
        });
        for edit in [
            json!({ "replace": [":authority", "other.test:1"] }),
            json!({ "replace": ["host", "other.test:1"] }),
            json!({ "replace": [":scheme", "https"] }),
            json!({ "set_all": [[":path", "/plain/c"], [":authority", "other.test:1"], [":scheme", "https"], ["x-all", "1"]] }),
            json!({ "set_all": [["host", "other.test:1"], ["x-all", "1"]] }),
        ] {
            let told = Request::get("/plain/c").header("x-edits", json!([["request", edit]]).to_string());
            let seen = rules.origin.records().len();
            let response = request(rules.ats.address(), &told);
            assert_eq!(response.status, 200, "{edit}: {response:?}");
            let records = rules.origin.records();
            let record = &records[seen];
            assert_eq!(record.path, "/c", "{edit}");
            let host = record.values("host")[0].to_vec();
            let host = String::from_utf8(host).unwrap();
            let expected = match pristine {
                0 => rules.origin.address().to_string(),
                _ if edit.to_string().contains("other") => "other.test:1".to_owned(),
                _ => "weir.test".to_owned(),
            };
            assert_eq!(host, expected, "{pristine} {edit}");
        }
    }
}

#[test]
fn conditions_of_a_rules_filters_are_about_the_clients_path() {
    for (_, _, path) in RULES {
        let prefix = path.strip_suffix("a/b").unwrap();
        let mut block = edits("matches", json!([["response", { "add": ["x-seen", "1"] }]]));
        set(
            &mut block,
            "match",
            json!([{ "host": "weir.test", "path_prefix": prefix }]),
        );
        let rules = Rules::start(&block, |config| config);
        let told = Request::get(path);
        let response = request(rules.ats.address(), &told);
        assert_eq!(values(&response, "x-seen"), ["1"], "{prefix}: {response:?}");
    }
}

/// The cluster is known before the next hop is.
#[test]
fn a_rules_filters_know_the_cluster() {
    let mut block = weir_testkit::config::filter("knows", &module("editor"), "wasmtime");
    set(
        &mut block,
        "configuration",
        json!([["request", { "show_property": ["x-target", "xds.cluster_name"] }]]),
    );
    let rules = Rules::start(&block, |config| config);
    let (_, _, cluster) = rules.sent("/plain/a");
    assert_eq!(cluster, ["127.0.0.1"]);
    let _ = get(&rules.ats, "/");
}
