//! The same filter in every language does the same, in both proxies.
//!
//! `cargo xtask filters --test` builds all of them and runs this. Elsewhere only the one in Rust is tested, which is built with
//! the other guests; the names of the tests left out say so.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use weir_testkit::client::{Http1, Request, Response};
use weir_testkit::config::{Config, filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Logs, Origin, PATIENCE, Weir};

/// The folder in which `cargo xtask filters` leaves the modules.
const FOLDER: &str = "WEIR_LANGUAGES";

/// Modules that `cargo xtask filters` builds, with the language each says it is in.
const LANGUAGES: [(&str, &str); 6] = [
    ("rust", "rust"),
    ("go", "go"),
    ("assemblyscript", "assemblyscript"),
    ("cpp", "cpp"),
    ("cpp-emscripten", "cpp"),
    ("zig", "zig"),
];

/// Our own SDKs, each as a guest that makes every hostcall.
const HOSTCALLS: [&str; 3] = ["hostcalls-cpp", "hostcalls-cpp-emscripten", "hostcalls-zig"];

/// One that compiles and one that interprets.
const RUNTIMES: [&str; 2] = ["wasmtime", "wamr"];

/// What the filter of every language must do; each with a proxy of its own.
const CASES: [Case; 9] = [
    ("adds_a_request_header", "origin", request_header),
    ("adds_a_response_header", "origin", response_header),
    ("answers_private_paths", "origin", private),
    ("rewrites_bodies", "origin", body),
    ("rewrites_bodies_that_trailers_end", "origin", trailers),
    ("asks_an_upstream", "origin", ask),
    ("goes_on_if_the_upstream_does_not_answer", "gone", ask_in_vain),
    ("counts_requests", "origin", metric),
    ("counts_ticks_in_shared_data", "origin", ticks),
];

/// Name, configuration of the filter, the test itself.
type Case = (&'static str, &'static str, fn(&Tour));

fn main() {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let mut trials = Vec::new();
    for proxy in [Proxy::Weir, Proxy::Ats] {
        for runtime in RUNTIMES {
            for (module, language) in LANGUAGES {
                for (case, configuration, run) in CASES {
                    let name = format!("{proxy:?}::{runtime}::{module}::{case}");
                    trials.push(trial(name, folder.as_deref(), module, move |path| {
                        run(&Tour::start(proxy, runtime, language, path, configuration));
                    }));
                }
                let name = format!("{proxy:?}::{runtime}::{module}::refuses_an_empty_configuration");
                trials.push(trial(name, folder.as_deref(), module, move |path| {
                    refuses_an_empty_configuration(proxy, runtime, language, path);
                }));
            }
            for module in HOSTCALLS {
                let name = format!("{proxy:?}::{runtime}::{module}");
                trials.push(trial(name, folder.as_deref(), module, move |path| {
                    makes_every_hostcall(proxy, runtime, path);
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test of a module, or why there is none.
fn trial(
    name: String,
    folder: Option<&Path>,
    module: &'static str,
    run: impl FnOnce(&Path) + Send + 'static,
) -> Trial {
    let built = folder.map(|folder| folder.join(format!("{module}.wasm")));
    match built {
        Some(path) => Trial::test(name, move || {
            run(&path);
            Ok(())
        }),
        None if module == "rust" => Trial::test(name, move || {
            run(&Guests::build()?.filter("tour")?);
            Ok(())
        }),
        None => {
            let name = format!("{name} (skipped: `cargo xtask filters --test` builds the module)");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Proxy {
    Weir,
    Ats,
}

enum Running {
    Weir(Weir),
    Ats(Box<Ats>),
}

/// A proxy with the filter of one language for all requests.
struct Tour {
    language: &'static str,
    origin: Origin,
    running: Running,
}

impl Tour {
    fn start(
        proxy: Proxy,
        runtime: &str,
        language: &'static str,
        module: &Path,
        configuration: &str,
    ) -> Self {
        let origin = Origin::start().unwrap();
        let mut block = filter("tour", module, runtime);
        set(&mut block, "configuration", json!(configuration));
        // A busy machine and an interpreter need more than the default.
        set(&mut block, "limits.callback_deadline", json!("20s"));
        let upstreams = json!({ "origin": origin.url(), "gone": "http://127.0.0.1:1" });
        let running = match proxy {
            Proxy::Weir => Running::Weir(Weir::start(&weir(block, &upstreams)).unwrap()),
            Proxy::Ats => {
                set(&mut block, "upstreams", upstreams);
                Running::Ats(Box::new(
                    Ats::start(&AtsConfig::new(origin.address()).filter(block)).unwrap(),
                ))
            }
        };
        Self {
            language,
            origin,
            running,
        }
    }

    fn address(&self) -> SocketAddr {
        match &self.running {
            Running::Weir(weir) => weir.address(),
            Running::Ats(ats) => ats.address(),
        }
    }

    fn logs(&self) -> &Logs {
        match &self.running {
            Running::Weir(weir) => weir.logs(),
            Running::Ats(ats) => ats.logs(),
        }
    }

    fn send(&self, request: &Request) -> Response {
        let outcome = Http1::connect(self.address()).unwrap().request(request).unwrap();
        outcome
            .response()
            .unwrap_or_else(|error| panic!("{error}\n{}", self.logs().text()))
    }

    /// Sends a request to a path; the response must be marked with the language.
    fn get(&self, path: &str) -> Response {
        let response = self.send(&Request::get(path));
        assert_eq!(
            response.header("x-tour").as_deref(),
            Some(self.language),
            "{path}: {response:?}\n{}",
            self.logs().text()
        );
        response
    }
}

/// The configuration of `weir serve`.
fn weir(block: Value, upstreams: &Value) -> Value {
    let mut config = Config::new(upstreams["origin"].as_str().unwrap());
    for (name, url) in upstreams.as_object().unwrap() {
        config = config.set(&format!("upstreams.{name}"), url.clone());
    }
    let config = config.filter("tour", block).route("/", &["tour"]);
    let mut value = config.value().clone();
    set(&mut value, "start", json!("lenient"));
    value
}

fn request_header(tour: &Tour) {
    let request = Request::get("/plain").header("x-tour", "mallory");
    assert_eq!(tour.send(&request).status, 200);
    let record = tour.origin.wait_for(|record| record.path == "/plain").unwrap();
    assert_eq!(record.values("x-tour"), [tour.language.as_bytes()]);
}

fn response_header(tour: &Tour) {
    assert_eq!(tour.get("/?header=x-tour:mallory").status, 200);
}

fn private(tour: &Tour) {
    let response = tour.get("/private/diary");
    assert_eq!((response.status, response.text()), (403, "private\n".to_owned()));
    assert!(tour.origin.records().is_empty());
    assert_eq!(tour.get("/public").status, 200);
}

fn body(tour: &Tour) {
    for (query, expected) in [
        ("body=a%20hedgehog", "a porcupine"),
        (
            "chunk=a%20hedge&chunk=hog,%20hedgehoghedge&chunk=hog&delay=5",
            "a porcupine, porcupineporcupine",
        ),
        ("body=a%20hedgehox", "a hedgehox"),
    ] {
        assert_eq!(tour.get(&format!("/?{query}")).text(), expected);
    }
    // Not UTF-8, and a NUL.
    let response = tour.get("/?body=%ff%00hedgehog%fe");
    assert_eq!(response.body, b"\xff\0porcupine\xfe");
}

fn trailers(tour: &Tour) {
    let request = Request::get("/?chunk=hedge&chunk=hog&trailer=x-sum:1").header("te", "trailers");
    assert_eq!(tour.send(&request).text(), "porcupine");
}

fn ask(tour: &Tour) {
    assert_eq!(tour.get("/ask").status, 200);
    let asked = tour.origin.wait_for(|record| record.path == "/asked").unwrap();
    assert_eq!(asked.values("x-tour"), [tour.language.as_bytes()]);
    let record = tour.origin.wait_for(|record| record.path == "/ask").unwrap();
    assert_eq!(record.values("x-tour-answer"), [b"200"]);
}

fn ask_in_vain(tour: &Tour) {
    assert_eq!(tour.get("/ask").status, 200);
    let record = tour.origin.wait_for(|record| record.path == "/ask").unwrap();
    assert_eq!(record.values("x-tour-answer"), [b"none"]);
}

fn metric(tour: &Tour) {
    let counts: Vec<u64> = (0..3)
        .map(|_| {
            let count = tour.get("/").header("x-tour-requests").unwrap();
            count.parse().unwrap()
        })
        .collect();
    assert_eq!(counts, [1, 2, 3]);
}

fn ticks(tour: &Tour) {
    let until = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    // Twice, so that a tick has read what another has written.
    while seen.len() < 2 {
        assert!(
            Instant::now() < until,
            "no ticks but {seen:?}\n{}",
            tour.logs().text()
        );
        let count = tour
            .get("/")
            .header("x-tour-ticks")
            .map(|count| count.parse::<u64>().unwrap());
        if count > seen.last().copied() {
            seen.extend(count);
        }
    }
}

fn refuses_an_empty_configuration(proxy: Proxy, runtime: &str, language: &'static str, module: &Path) {
    let tour = Tour::start(proxy, runtime, language, module, "");
    assert_eq!(tour.send(&Request::get("/")).status, 503);
    let said = tour.logs().wait_for("configuration refused");
    assert!(said.is_some(), "{}", tour.logs().text());
}

/// The guest answers with what was not as it must be.
fn makes_every_hostcall(proxy: Proxy, runtime: &str, module: &Path) {
    let tour = Tour::start(proxy, runtime, "hostcalls", module, "origin");
    let response = tour.send(&Request::post("/", "body").header("x-one", "1"));
    assert_eq!(response.text(), "all as it must be\n", "{}", tour.logs().text());
    let mut client = Http1::connect(tour.address()).unwrap();
    let closed = client.request(&Request::get("/").header("x-close", "1")).unwrap();
    assert!(
        closed.response().is_err(),
        "the stream is closed, without an answer"
    );
}
