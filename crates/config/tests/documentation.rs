//! The examples of `docs/configuration.md` are what the reader takes, but for the files that they name.

use std::path::Path;

use weir_config::{ConfigError, Environment, FilterConfig, ProcessConfig, ProxyConfig};
use weir_host::{Capabilities, ImportSets};

const PAGE: &str = include_str!("../../../docs/configuration.md");

fn examples() -> Vec<&'static str> {
    let fenced = PAGE.split("```yaml\n").skip(1);
    fenced.filter_map(|rest| rest.split("```").next()).collect()
}

/// The examples name files that are not here, and one is a part of a document.
fn is_about_what_is_not_here(line: &str) -> bool {
    line.contains(": cannot read the file \"") || line.ends_with(": expected the key \"routes\", found none")
}

#[test]
fn every_example_is_taken() {
    let path = Path::new("example.yaml");
    let capabilities = Capabilities::names(ImportSets::standard());
    let environment = Environment::empty().with_capabilities(capabilities);
    let examples = examples();
    assert!(examples.len() >= 5, "the examples are missing");
    for text in examples {
        let result: Result<(), ConfigError> = if text.starts_with("config:") {
            FilterConfig::parse(text.as_bytes(), path, &environment).map(drop)
        } else if text.starts_with("admin:") {
            ProcessConfig::parse(text.as_bytes(), path, &environment).map(drop)
        } else {
            ProxyConfig::parse(text.as_bytes(), path, &environment).map(drop)
        };
        let problems = result.err().map(|error| error.to_string()).unwrap_or_default();
        let wrong: Vec<&str> = problems
            .lines()
            .filter(|line| !is_about_what_is_not_here(line))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
    }
}
