//! Documents: any text is a configuration or is refused with problems that each name their place; reading it twice gives
//! the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use weir_config::{ConfigError, Environment, FilterConfig, ProcessConfig, ProxyConfig};

fuzz_target!(|text: &[u8]| {
    let environment = Environment::of([("SET", "value")]).with_capabilities(weir_plan::capability_names());
    let path = Path::new("/nonexistent/fuzz.yaml");
    let filter = || FilterConfig::parse(text, path, &environment);
    let proxy = || ProxyConfig::parse(text, path, &environment);
    let process = || ProcessConfig::parse(text, path, &environment);
    assert_eq!(filter(), filter());
    assert_eq!(proxy(), proxy());
    assert_eq!(process(), process());
    if let Ok(proxy) = proxy() {
        assert!(!proxy.routes.is_empty() && !proxy.listeners.is_empty());
    }
    refused_with_places(filter());
    refused_with_places(proxy());
    refused_with_places(process());
});

fn refused_with_places<T>(read: Result<T, ConfigError>) {
    let Err(error) = read else { return };
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        let line = problem.to_string();
        // Of this file, or of one that it names.
        assert!(line.starts_with('/'), "{line}");
        assert!(!line.contains('\n') && !problem.message.is_empty(), "{line}");
    }
}
