//! No text makes the reader panic, and what it reads or refuses is well-formed.

use std::path::Path;

use proptest::prelude::*;
use weir_config::{ConfigError, Environment, FilterConfig, ProcessConfig, ProxyConfig};
use weir_host::{Capabilities, ImportSets};

/// Words of the schema, YAML's punctuation and values that are wrong somewhere.
const PIECES: &[&str] = &[
    "config",
    "vm_config",
    "vmConfig",
    "code",
    "local",
    "filename",
    "configuration",
    "@type",
    "value",
    "runtime",
    "environment_variables",
    "key_values",
    "allowed_capabilities",
    "capability_restriction_config",
    "limits",
    "memory",
    "deadline",
    "match",
    "host",
    "prefix",
    "upstreams",
    "direct_upstreams",
    "endpoints",
    "tls",
    "listeners",
    "address",
    "filters",
    "file",
    "name",
    "routes",
    "upstream",
    "static",
    "status",
    "headers",
    "body",
    "workers",
    "timeouts",
    "drain",
    "access_log",
    "admin",
    "code_cache",
    "compiler",
    "cpu_time",
    "perf-map",
    "echo",
    "wasmtime",
    "127.0.0.1:80",
    "http://a:1",
    "[::1]:0",
    "10s",
    "1h9999999999999999d",
    "64KiB",
    "99999999999999999999TiB",
    "1e999",
    "-0x1",
    ".nan",
    "~",
    "true",
    "é",
    "\u{feff}",
    "\u{0}",
    "...",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "\n      ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "? ",
    "# ",
    "---\n",
    "%YAML 1.2\n",
    "\t",
    "\\",
];

/// Reads `text` as each kind of document, and looks at what it is told.
fn read(text: &[u8]) {
    let environment =
        Environment::of([("HOME", "/")]).with_capabilities(Capabilities::names(ImportSets::standard()));
    let path = Path::new("generated.yaml");
    let lines = text.split(|byte| *byte == b'\n').count();
    let look_at = |error: ConfigError| {
        assert!(!error.problems().is_empty());
        for problem in error.problems() {
            assert!(
                !problem.message.is_empty() && !problem.message.contains('\n'),
                "{problem:?}"
            );
            assert!(problem.location.line <= lines + 1, "{problem:?} in {lines} lines");
        }
        assert_eq!(error.to_string().lines().count(), error.problems().len());
    };
    match ProxyConfig::parse(text, path, &environment) {
        Ok(proxy) => assert!(!proxy.routes.is_empty() && !proxy.listeners.is_empty()),
        Err(error) => look_at(error),
    }
    if let Err(error) = ProcessConfig::parse(text, path, &environment) {
        look_at(error);
    }
    match FilterConfig::parse(text, path, &environment) {
        Ok(filter) => assert!(
            filter
                .vm
                .code
                .as_ref()
                .and_then(|code| code.file())
                .is_some_and(|file| file.is_absolute())
        ),
        Err(error) => look_at(error),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn on_any_text(text in "\\PC*") {
        read(text.as_bytes());
    }

    #[test]
    fn on_what_looks_like_a_document(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        read(pieces.concat().as_bytes());
    }

    #[test]
    fn on_damaged_documents(
        which in prop::sample::select(&[
            include_str!("documents/valid/filter-snake.yaml"),
            include_str!("documents/valid/filter-camel.yaml"),
            include_str!("documents/valid/proxy-snake.yaml"),
            include_str!("documents/valid/process-snake.yaml"),
        ][..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, prop::sample::select(PIECES)), 1..5),
    ) {
        let mut bytes = which.as_bytes().to_vec();
        for (place, removed, inserted) in damage {
            let start = place.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, inserted.bytes());
        }
        read(&bytes);
    }
}
