//! The cache keeps the origin's response; a client gets it as the filters have changed it, once.

use std::time::{Duration, Instant};

use serde_json::Value;
use weir_testkit::client::Response;
use weir_testkit::{Ats, AtsConfig, Mode, Origin, PATIENCE};

use crate::{adds, get, rewrites, values};

/// Kept for a second, and then asked for again by its tag.
const PAGE: &str = "?etag=1&header=cache-control:max-age=1&header=content-type:text/plain&body=a%20hedgehog";

struct Cached {
    origin: Origin,
    ats: Ats,
}

impl Cached {
    /// The same page below `/` with filters and below `/plain/` without.
    fn start(filters: Vec<Value>) -> Self {
        let origin = Origin::start().unwrap();
        let mut config = AtsConfig::new(origin.address()).rule(format!("map /plain/ {}/", origin.url()));
        config.filters = filters;
        config.mode = Mode::Remap;
        let ats = Ats::start(&config).unwrap();
        Self { origin, ats }
    }

    fn filtered(&self) -> Response {
        get(&self.ats, &format!("/page{PAGE}"))
    }

    fn plain(&self) -> Response {
        get(&self.ats, &format!("/plain/page{PAGE}"))
    }

    /// Statuses that the origin was asked for so far: with a tag or without.
    fn asked(&self) -> Vec<bool> {
        let records = self.origin.records();
        records
            .iter()
            .map(|record| !record.values("if-none-match").is_empty())
            .collect()
    }
}

/// Goes through a miss, hits and a revalidation; `check` sees each response, and whether it is one with filters.
fn through_its_life(cached: &Cached, check: impl Fn(&str, &Response, bool)) {
    check("a miss", &cached.filtered(), true);
    check("a hit", &cached.plain(), false);
    check("a hit", &cached.filtered(), true);
    check("a hit", &cached.filtered(), true);
    assert_eq!(cached.asked(), [false], "{}", cached.ats.logs().text());
    let until = Instant::now() + PATIENCE;
    while cached.asked().len() == 1 {
        assert!(Instant::now() < until, "never stale");
        std::thread::park_timeout(Duration::from_millis(200));
        check("a hit, or revalidated", &cached.filtered(), true);
    }
    assert_eq!(cached.asked(), [false, true], "not asked for by its tag");
    check("a hit after that", &cached.plain(), false);
    check("a hit after that", &cached.filtered(), true);
}

#[test]
fn headers_are_edited_once_and_not_kept() {
    let cached = Cached::start(vec![adds("adds", "x-seen", "1")]);
    through_its_life(&cached, |what, response, filtered| {
        let expected: &[&str] = if filtered { &["1"] } else { &[] };
        assert_eq!(values(response, "x-seen"), expected, "{what}: {response:?}");
        assert_eq!(response.text(), "a hedgehog", "{what}");
    });
}

#[test]
fn bodies_are_edited_once_and_not_kept() {
    let cached = Cached::start(vec![adds("adds", "x-seen", "1"), rewrites("rewrites")]);
    through_its_life(&cached, |what, response, filtered| {
        let (header, body): (&[&str], _) = if filtered {
            (&["1"], "a porcupine")
        } else {
            (&[], "a hedgehog")
        };
        assert_eq!(values(response, "x-seen"), header, "{what}: {response:?}");
        assert_eq!(response.text(), body, "{what}: {response:?}");
    });
}

#[test]
fn a_global_plugin_edits_hits_too() {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(adds("adds", "x-seen", "1"))
        .filter(rewrites("rewrites"));
    let ats = Ats::start(&config).unwrap();
    let path = "/?header=cache-control:max-age=600&header=content-type:text/plain&body=a%20hedgehog";
    for _ in 0..5 {
        let response = get(&ats, path);
        assert_eq!(values(&response, "x-seen"), ["1"], "{response:?}");
        assert_eq!(response.text(), "a porcupine");
    }
    assert_eq!(origin.records().len(), 1);
}

/// Responses that have no body are edited as well, and come at once.
#[test]
fn responses_without_a_body_are_edited() {
    let origin = Origin::start().unwrap();
    let config = AtsConfig::new(origin.address())
        .filter(adds("adds", "x-seen", "1"))
        .filter(rewrites("rewrites"));
    let ats = Ats::start(&config).unwrap();
    for path in [
        "/?status=204",
        "/?status=304",
        "/?body=",
        "/?status=302&header=location:/&body=",
        "/?status=404",
    ] {
        for _ in 0..2 {
            let response = get(&ats, path);
            assert_eq!(values(&response, "x-seen"), ["1"], "{path}: {response:?}");
        }
    }
    let head = weir_testkit::client::Request::new("HEAD", "/?header=cache-control:max-age=600&body=hello");
    for _ in 0..2 {
        let response = crate::request(ats.address(), &head);
        assert_eq!(values(&response, "x-seen"), ["1"], "{response:?}");
        // GET has the length of the body that a filter may have changed.
        assert!(values(&response, "content-length").is_empty(), "{response:?}");
    }
}
