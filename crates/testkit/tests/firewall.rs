//! Coraza with the Core Rule Set, in both proxies.
//!
//! `cargo xtask filters --test` builds the module, which `WEIR_LANGUAGES` names the folder of, and runs this. Elsewhere
//! nothing is tested, and standard error says so: building takes Go modules from the network, compiling 30 MB a minute.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Ats, AtsConfig, Origin, Weir};

/// The module, or a word on standard error.
fn module() -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_LANGUAGES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("not tested: WEIR_LANGUAGES names no folder");
    }
    Some(folder?.join("coraza.wasm"))
}

/// The filter with these directives for all authorities.
fn block(module: &std::path::Path, runtime: &str, directives: &[&str]) -> Value {
    let mut block = filter("waf", module, runtime);
    let configuration = json!({
        "directives_map": { "default": directives },
        "default_directives": "default",
        "metric_labels": { "owner": "tests" },
    });
    set(&mut block, "configuration", configuration);
    // The rules are parsed at start, by an interpreter on a busy machine too.
    set(&mut block, "limits.start_deadline", json!("120s"));
    set(&mut block, "limits.callback_deadline", json!("60s"));
    set(&mut block, "limits.stream_deadline", json!("120s"));
    block
}

/// The whole rule set, blocking.
const RULES: [&str; 4] = [
    "Include @recommended-conf",
    "SecRuleEngine On",
    "Include @crs-setup-conf",
    "Include @owasp_crs/*.conf",
];

fn send(address: SocketAddr, request: &Request) -> Response {
    let outcome = Http1::connect(address).unwrap().request(request).unwrap();
    outcome.response().unwrap()
}

/// A browser's request, which the rule set lets pass.
fn clean(request: Request) -> Request {
    request.header("user-agent", "tests").header("accept", "*/*")
}

/// What the rule set must say of a few requests, whatever proxy and runtime.
fn blocks_attacks_and_nothing_else(address: SocketAddr, origin: &Origin) {
    let form = |body: &'static str| {
        clean(Request::post("/form", body)).header("content-type", "application/x-www-form-urlencoded")
    };
    assert_eq!(
        send(address, &clean(Request::get("/?greeting=hello"))).status,
        200
    );
    assert_eq!(send(address, &form("name=hedgehog&colour=brown")).status, 200);
    let record = origin.wait_for(|record| record.path == "/form").unwrap();
    assert_eq!(record.body, b"name=hedgehog&colour=brown");

    let before = origin.records().len();
    for attack in [
        "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/?id=1%27%20or%20%271%27=%271",
        "/?file=../../../../etc/passwd",
        "/?cmd=;cat%20/etc/passwd",
    ] {
        assert_eq!(
            send(address, &clean(Request::get(attack))).status,
            403,
            "{attack}"
        );
    }
    assert_eq!(
        send(address, &form("name=%3Cscript%3Ealert(1)%3C/script%3E")).status,
        403
    );
    assert_eq!(
        origin.records().len(),
        before,
        "the origin hears nothing of attacks, whether in a target or in a body"
    );
}

#[test]
fn weir_serve_blocks_attacks() {
    let Some(module) = module() else { return };
    for runtime in ["wasmtime", "wamr"] {
        let origin = Origin::start().unwrap();
        let config = Config::new(&origin.url())
            .set("workers", json!(1))
            .filter("waf", block(&module, runtime, &RULES))
            .route("/", &["waf"]);
        let weir = Weir::start(config.value()).unwrap();
        blocks_attacks_and_nothing_else(weir.address(), &origin);
        let named = weir.logs().wait_for("941100");
        assert!(named.is_some(), "the log names the rule: {}", weir.logs().text());
    }
}

#[test]
fn traffic_server_blocks_attacks() {
    let Some(module) = module() else { return };
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address()).filter(block(&module, "wasmtime", &RULES));
    let ats = Ats::start(&config).unwrap();
    blocks_attacks_and_nothing_else(ats.address(), &origin);
}

#[test]
fn rules_of_each_phase_answer() {
    let Some(module) = module() else { return };
    let directives = [
        "SecRuleEngine On",
        "SecRequestBodyAccess On",
        "SecRequestBodyLimit 100",
        "SecRequestBodyLimitAction Reject",
        "SecResponseBodyAccess On",
        "SecResponseBodyMimeType text/plain",
        r#"SecRule REQUEST_URI "@contains teapot" "id:1,phase:1,deny,status:418""#,
        r#"SecRule REQUEST_URI "@contains elsewhere" "id:2,phase:1,redirect:https://weir.test/""#,
        r#"SecRule REQUEST_BODY "@contains secret" "id:3,phase:2,deny,status:406""#,
        r#"SecRule RESPONSE_HEADERS:x-leak "@rx ." "id:4,phase:3,deny,status:502""#,
        r#"SecRule RESPONSE_BODY "@contains password" "id:5,phase:4,deny,status:503""#,
    ];
    let origin = Origin::start().unwrap();
    let config = Config::new(&origin.url())
        .set("workers", json!(1))
        .filter("waf", block(&module, "wasmtime", &directives))
        .route("/", &["waf"]);
    let weir = Weir::start(config.value()).unwrap();
    let form = |body: String| {
        Request::post("/form", body).header("content-type", "application/x-www-form-urlencoded")
    };
    let elsewhere = send(weir.address(), &Request::get("/elsewhere"));
    assert_eq!(elsewhere.status, 302);
    assert_eq!(
        elsewhere.header("location").as_deref(),
        Some("https://weir.test/")
    );
    for (request, status) in [
        (Request::get("/teapot"), 418),
        (form("a=secret".to_owned()), 406),
        (form("a=b".to_owned()), 200),
        (form(format!("a={}", "b".repeat(200))), 413),
        (Request::get("/?header=x-leak:1"), 502),
        (
            Request::get("/?header=content-type:text/plain&chunk=pass&chunk=word&delay=5"),
            503,
        ),
        (
            Request::get("/?header=content-type:text/plain&chunk=pass&chunk=port"),
            200,
        ),
    ] {
        let response = send(weir.address(), &request);
        assert_eq!(
            response.status,
            status,
            "{request:?} {response:?}\n{}",
            weir.logs().text()
        );
    }
}

#[test]
fn wrong_configurations_are_refused_with_a_reason() {
    let Some(module) = module() else { return };
    for (configuration, reason) in [
        (json!({}), "directives_map is empty"),
        (
            json!({ "directives_map": { "a": [] }, "default_directives": "b" }),
            r#"directives_map has no "b""#,
        ),
        (
            json!({ "directives_map": { "a": [] } }),
            "neither default_directives",
        ),
        (
            json!({ "directives_map": { "a": ["SecNonsense On"] }, "default_directives": "a" }),
            r#"unknown directive "secnonsense""#,
        ),
        (
            json!({ "directives_map": { "a": ["Include @nowhere/x.conf"] }, "default_directives": "a" }),
            "@nowhere/x.conf",
        ),
        (
            json!({ "directives_map": { "a": [r#"SecRule ARGS "@rx (" "id:7,phase:1,deny""#] }, "default_directives": "a" }),
            "missing closing )",
        ),
    ] {
        let mut block = block(&module, "wasmtime", &[]);
        set(&mut block, "configuration", configuration);
        let config = Config::new("http://127.0.0.1:1")
            .filter("waf", block)
            .route("/", &["waf"]);
        let folder = tempfile::tempdir().unwrap();
        let said = Weir::refused(folder.path(), config.value()).unwrap();
        assert!(
            said.contains("configuration refused") && said.replace('\\', "").contains(reason),
            "{reason}: {said}"
        );
    }
}
