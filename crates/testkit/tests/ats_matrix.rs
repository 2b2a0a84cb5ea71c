//! Filters beside other plugins of Traffic Server, before and after them: the answer equals that of the two jobs done one after
//! the other.
//!
//! Each plugin has three chains: alone, with a filter of heads, with a filter of bodies. A request for each chain, on a miss and
//! on hits, whole, for the head, for a part, with a known tag. The plugin alone says what is to be expected of it, and the
//! filter's job is done on that.
//!
//! Plugins in rules are tested in one server. With `WEIR_ATS_MATRIX=all` (`cargo xtask matrix-ats`) those that can be in
//! `plugin.config` are tested there as well, in a server for each order.
#![allow(clippy::unwrap_used)]

use std::io::Read;

use serde_json::{Value, json};
use weir_ats_server::Installation;
use weir_testkit::client::{Http1, Outcome, Request, Response};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

/// The page of the origin, with a part that ESI takes out.
const PAGE: &str = "0123456789<esi:remove>gone</esi:remove>abcdefghijklmnopqrstuvwxyz";

/// What the filter of bodies appends.
const APPENDED: &str = "<seen>";

/// Another plugin.
struct Neighbour {
    name: &'static str,
    /// Its libraries.
    libraries: &'static [&'static str],
    /// How a rule names it.
    rule: &'static str,
    /// How `plugin.config` names it; empty for a plugin of rules alone.
    global: &'static str,
    /// Its files.
    files: &'static [(&'static str, &'static str)],
    /// A field that it adds.
    adds: Option<(&'static str, &'static str)>,
    /// Fields of requests that it needs.
    asks: &'static [(&'static str, &'static str)],
    /// It asks for parts of bodies by itself where it stands before the filters.
    parts: bool,
}

const PLAIN: Neighbour = Neighbour {
    name: "",
    libraries: &[],
    rule: "",
    global: "",
    files: &[],
    adds: None,
    asks: &[],
    parts: false,
};

const NEIGHBOURS: [Neighbour; 14] = [
    Neighbour {
        name: "header_rewrite",
        libraries: &["header_rewrite.so"],
        rule: "@plugin=header_rewrite.so @pparam=rewrite.conf",
        global: "header_rewrite.so rewrite.conf",
        files: &[(
            "rewrite.conf",
            "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header X-Neighbour 1\n",
        )],
        adds: Some(("x-neighbour", "1")),
        ..PLAIN
    },
    Neighbour {
        name: "regex_remap",
        libraries: &["regex_remap.so"],
        rule: "@plugin=regex_remap.so @pparam=regex.conf",
        files: &[("regex.conf", "^/nothing/here$ http://127.0.0.1/ @status=403\n")],
        ..PLAIN
    },
    Neighbour {
        name: "tslua",
        libraries: &["tslua.so"],
        rule: "@plugin=tslua.so @pparam=neighbour.lua",
        files: &[(
            "neighbour.lua",
            "function answer()\n ts.client_response.header['X-Neighbour'] = '1'\nend\n\
             function do_remap()\n ts.hook(TS_LUA_HOOK_SEND_RESPONSE_HDR, answer)\n return 0\nend\n",
        )],
        adds: Some(("x-neighbour", "1")),
        ..PLAIN
    },
    Neighbour {
        name: "cachekey",
        libraries: &["cachekey.so"],
        rule: "@plugin=cachekey.so @pparam=--static-prefix=neighbour",
        ..PLAIN
    },
    Neighbour {
        name: "compress",
        libraries: &["compress.so"],
        rule: "@plugin=compress.so @pparam=compress.conf",
        global: "compress.so compress.conf",
        files: &[(
            "compress.conf",
            "cache true\nremove-accept-encoding false\ncompressible-content-type text/*\nsupported-algorithms gzip\n\
             minimum-content-length 1\n",
        )],
        asks: &[("accept-encoding", "gzip")],
        ..PLAIN
    },
    Neighbour {
        name: "compress_uncached",
        libraries: &["compress.so"],
        rule: "@plugin=compress.so @pparam=uncached.conf",
        global: "compress.so uncached.conf",
        files: &[(
            "uncached.conf",
            "cache false\nremove-accept-encoding true\ncompressible-content-type text/*\nsupported-algorithms gzip\n\
             minimum-content-length 1\n",
        )],
        asks: &[("accept-encoding", "gzip")],
        ..PLAIN
    },
    Neighbour {
        name: "esi",
        libraries: &["esi.so"],
        rule: "@plugin=esi.so",
        global: "esi.so",
        ..PLAIN
    },
    Neighbour {
        name: "slice",
        libraries: &["slice.so", "cache_range_requests.so"],
        rule: "@plugin=slice.so @pparam=--blockbytes-test=16 @plugin=cache_range_requests.so",
        parts: true,
        ..PLAIN
    },
    Neighbour {
        name: "cache_range_requests",
        libraries: &["cache_range_requests.so"],
        rule: "@plugin=cache_range_requests.so",
        parts: true,
        ..PLAIN
    },
    Neighbour {
        name: "background_fetch",
        libraries: &["background_fetch.so"],
        rule: "@plugin=background_fetch.so",
        global: "background_fetch.so",
        ..PLAIN
    },
    Neighbour {
        name: "collapsed_forwarding",
        libraries: &["collapsed_forwarding.so"],
        rule: "@plugin=collapsed_forwarding.so",
        global: "collapsed_forwarding.so",
        ..PLAIN
    },
    Neighbour {
        name: "prefetch",
        libraries: &["prefetch.so"],
        rule: "@plugin=prefetch.so @pparam=--front=true @pparam=--fetch-policy=simple \
               @pparam=--fetch-path-pattern=/(.*)-(\\d+)(.*)/$1-{$2+1}$3/ @pparam=--fetch-count=1",
        ..PLAIN
    },
    Neighbour {
        name: "multiplexer",
        libraries: &["multiplexer.so"],
        rule: "@plugin=multiplexer.so @pparam=copy.test",
        ..PLAIN
    },
    Neighbour {
        name: "url_sig",
        libraries: &["url_sig.so"],
        rule: "@plugin=url_sig.so @pparam=url_sig.conf",
        files: &[(
            "url_sig.conf",
            "key0 = 0123456789abcdef0123456789abcdef\nerror_url = 403\nexcl_regex = ^(.*)$\n",
        )],
        ..PLAIN
    },
];

/// A plugin that no rule can name.
const XDEBUG: Neighbour = Neighbour {
    name: "xdebug",
    libraries: &["xdebug.so"],
    global: "xdebug.so",
    adds: Some(("x-cache", "")),
    asks: &[("x-debug", "x-cache")],
    ..PLAIN
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    None,
    Head,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Before,
    After,
}

const ORDERS: [Order; 2] = [Order::Before, Order::After];

impl Neighbour {
    fn is_installed(&self, installation: &Installation) -> bool {
        let there = |library: &&str| installation.plugins().join(library).is_file();
        let missing = self.libraries.iter().find(|library| !there(library));
        if let Some(library) = missing {
            eprintln!("skipped: {library} is not installed (Debian: trafficserver-experimental-plugins)");
        }
        missing.is_none()
    }
}

fn editor(name: &str, edits: &Value) -> Value {
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let mut block = filter(name, &module, "wasmtime");
    set(&mut block, "configuration", edits.clone());
    block
}

fn with_files(mut config: AtsConfig, neighbours: &[&Neighbour]) -> AtsConfig {
    let seen = json!(["response", { "add": ["x-seen", "1"] }]);
    let heads = editor("heads", &json!([["request", "decline"], seen]));
    let bodies = editor(
        "bodies",
        &json!([seen, ["response", "hold"], ["response", { "append": APPENDED }]]),
    );
    config = config
        .filter_file("heads.yaml", &heads)
        .filter_file("bodies.yaml", &bodies);
    for (name, content) in neighbours.iter().flat_map(|neighbour| neighbour.files) {
        config.files.push(((*name).to_owned(), (*content).to_owned()));
    }
    config
}

/// The kinds of requests.
fn requests(path: &str) -> [(&'static str, Request); 7] {
    let get = || Request::get(path);
    [
        ("a miss", get()),
        ("a hit", get()),
        ("another hit", get()),
        ("a head", Request::new("HEAD", path)),
        ("a part", get().header("range", "bytes=2-5")),
        ("a known tag", get().header("if-none-match", "\"1\"")),
        ("an unknown tag", get().header("if-none-match", "\"2\"")),
    ]
}

/// What requests of a chain got, by the kind of request.
fn answers(ats: &Ats, neighbour: &Neighbour, prefix: &str) -> Vec<(&'static str, Response)> {
    let fields = "header=cache-control:max-age=600&header=content-type:text/html&header=x-esi:1";
    let path = format!("{prefix}page-1?etag=1&{fields}&ranges&body={PAGE}");
    let send = |(kind, mut request): (&'static str, Request)| {
        for (name, value) in neighbour.asks {
            request = request.header(name, value);
        }
        let outcome = Http1::connect(ats.address()).and_then(|mut client| client.request(&request));
        let response = outcome.and_then(Outcome::response);
        let response =
            response.unwrap_or_else(|error| panic!("{prefix} {kind}: {error}\n{}", ats.logs().text()));
        (kind, response)
    };
    requests(&path).map(send).into()
}

/// The text of a body, whatever its coding.
fn text(response: &Response) -> String {
    if response.header("content-encoding").as_deref() != Some("gzip") || response.body.is_empty() {
        return response.text();
    }
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(response.body.as_slice()).read_to_string(&mut text);
    read.unwrap_or_else(|error| panic!("not gzip: {error}: {response:?}"));
    text
}

/// Holds what came of a chain against the jobs done one after the other.
fn check(
    neighbour: &Neighbour,
    alone: &[(&str, Response)],
    job: Job,
    order: Order,
    came: &[(&str, Response)],
) {
    for ((kind, alone), (_, came)) in alone.iter().zip(came) {
        let what = format!(
            "{} {order:?} a filter of {job:?}, {kind}: {came:?}\nalone: {alone:?}",
            neighbour.name
        );
        let seen: Vec<_> = came.values("x-seen");
        assert_eq!(seen, [b"1"], "{what}");
        if let Some((name, value)) = neighbour.adds {
            let values = came.values(name);
            assert_eq!(values.len(), 1, "{what}");
            assert!(value.is_empty() || values[0] == value.as_bytes(), "{what}");
        }
        // Filters see no part of a body that a plugin before them asks for.
        let is_cut =
            neighbour.parts && order == Order::Before && (neighbour.name == "slice" || alone.status == 206);
        let (status, body) = match job {
            Job::Body if is_cut => (alone.status, text(alone)),
            // The filter sees the whole.
            Job::Body if alone.status == 206 => {
                let whole = PAGE.to_owned() + APPENDED;
                (
                    200,
                    if neighbour.name == "esi" {
                        without_esi(&whole)
                    } else {
                        whole
                    },
                )
            }
            Job::Body if !text(alone).is_empty() => (alone.status, text(alone) + APPENDED),
            _ => (alone.status, text(alone)),
        };
        assert_eq!(came.status, status, "{what}");
        assert_eq!(text(came), body, "{what}");
        let coded = |response: &Response| response.header("content-encoding");
        if alone.status == 200 {
            assert_eq!(coded(came), coded(alone), "{what}");
        }
        if let Some(length) = came.header("content-length")
            && *kind != "a head"
        {
            assert_eq!(length, came.body.len().to_string(), "{what}");
        }
    }
}

fn without_esi(page: &str) -> String {
    page.replace("<esi:remove>gone</esi:remove>", "")
}

/// Starts a server in whose rules plugins and filters stand in every order, and holds each against the plugin alone.
#[test]
fn plugins_of_rules_and_filters_do_their_jobs_in_turn() {
    let installation = Installation::find().unwrap();
    let neighbours: Vec<&Neighbour> = NEIGHBOURS
        .iter()
        .filter(|neighbour| neighbour.is_installed(&installation))
        .collect();
    let origin = Origin::start().unwrap();
    let mut config = with_files(AtsConfig::new(origin.address()), &neighbours);
    config = config.rule(format!("map http://copy.test/ {}/copy/", origin.url()));
    let wasm = |job| match job {
        Job::None => "",
        Job::Head => "@plugin=wasm.so @pparam=heads.yaml",
        Job::Body => "@plugin=wasm.so @pparam=bodies.yaml",
    };
    for neighbour in &neighbours {
        for job in [Job::None, Job::Head, Job::Body] {
            for order in ORDERS {
                let plugins = match order {
                    Order::Before => format!("{} {}", neighbour.rule, wasm(job)),
                    Order::After => format!("{} {}", wasm(job), neighbour.rule),
                };
                let (name, url) = (prefix(neighbour, job, order), origin.url());
                // An object of the cache for each rule.
                config = config.rule(format!("map {name} {url}{name} {plugins}"));
            }
        }
    }
    let ats = Ats::start(&config).unwrap();
    for neighbour in &neighbours {
        let alone = answers(&ats, neighbour, &prefix(neighbour, Job::None, Order::Before));
        for job in [Job::Head, Job::Body] {
            for order in ORDERS {
                let came = answers(&ats, neighbour, &prefix(neighbour, job, order));
                check(neighbour, &alone, job, order, &came);
            }
        }
    }
    assert!(ats.server().is_alive(), "{}", ats.logs().text());
}

fn prefix(neighbour: &Neighbour, job: Job, order: Order) -> String {
    format!("/{}/{job:?}/{order:?}/", neighbour.name)
}

/// The same with plugins of `plugin.config`: with filters there as well, and with filters in rules.
#[test]
fn plugins_of_plugin_config_and_filters_do_their_jobs_in_turn() {
    let whole = std::env::var("WEIR_ATS_MATRIX").is_ok_and(|matrix| matrix == "all");
    let installation = Installation::find().unwrap();
    let neighbours = NEIGHBOURS.iter().chain([&XDEBUG]);
    let global = neighbours.filter(|neighbour| {
        // The pair that differs most stands for the others in short runs.
        let short = neighbour.name == "compress";
        !neighbour.global.is_empty() && (whole || short) && neighbour.is_installed(&installation)
    });
    for neighbour in global {
        let origin = Origin::start().unwrap();
        let start = |lines: Vec<&str>, rule: &str| {
            let mut config = with_files(AtsConfig::new(origin.address()), &[neighbour]);
            config = config.rule(format!("map /rule/ {}/rule/ {rule}", origin.url()));
            config.plugin = lines.into_iter().map(ToOwned::to_owned).collect();
            Ats::start(&config).unwrap()
        };
        let alone = answers(&start(vec![neighbour.global], ""), neighbour, "/rule/");
        for (job, file) in [(Job::Head, "heads.yaml"), (Job::Body, "bodies.yaml")] {
            let wasm = format!("wasm.so {file}");
            for order in ORDERS {
                let lines = match order {
                    Order::Before => vec![neighbour.global, &wasm],
                    Order::After => vec![&wasm, neighbour.global],
                };
                let ats = start(lines, "");
                check(neighbour, &alone, job, order, &answers(&ats, neighbour, "/rule/"));
            }
            let rule = format!("@plugin=wasm.so @pparam={file}");
            let ats = start(vec![neighbour.global], &rule);
            check(
                neighbour,
                &alone,
                job,
                Order::Before,
                &answers(&ats, neighbour, "/rule/"),
            );
            if !neighbour.rule.is_empty() {
                let ats = start(vec![&wasm], neighbour.rule);
                check(
                    neighbour,
                    &alone,
                    job,
                    Order::After,
                    &answers(&ats, neighbour, "/rule/"),
                );
            }
        }
    }
}
