//! Documents that use every key, read to what they mean.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod filter;
mod process;
mod proxy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_config::{Endpoint, Environment, FilterConfig, Protocol, ProxyConfig, Upstream};
use weir_host::{Capabilities, ImportSets};

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents")
}

fn file(name: &str) -> PathBuf {
    documents().join("valid").join("../files").join(name)
}

fn environment() -> Environment {
    Environment::of([
        ("HOME", "/home/weir"),
        ("LANG", "C.UTF-8"),
        ("OTHER", "not asked for"),
    ])
    .with_capabilities(Capabilities::names(ImportSets::standard()))
}

fn load_filter(name: &str) -> FilterConfig {
    FilterConfig::load(&documents().join("valid").join(name), &environment()).unwrap()
}

fn load_proxy(name: &str) -> ProxyConfig {
    ProxyConfig::load(&documents().join("valid").join(name), &environment()).unwrap()
}

/// A filter made of this text alone.
fn parsed_filter(text: &str) -> FilterConfig {
    let path = documents().join("valid/text.yaml");
    FilterConfig::parse(text.as_bytes(), &path, &environment()).unwrap()
}

/// A proxy made of this text alone.
fn parsed_proxy(text: &str) -> ProxyConfig {
    let path = documents().join("valid/text.yaml");
    ProxyConfig::parse(text.as_bytes(), &path, &environment()).unwrap()
}

const MODULE: &str = "vm_config: { code: { local: { filename: ../files/module.wasm } } }";

fn upstream(name: &str, host: &str, port: u16) -> Upstream {
    Upstream {
        name: name.to_owned(),
        endpoints: vec![Endpoint {
            host: host.to_owned(),
            port,
        }],
        protocol: Protocol::Auto,
        tls: None,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        authority: None,
        max_connections: 1024,
        head: weir_config::HeadLimits::default(),
        max_age: None,
        trailers: weir_config::Trailers::default(),
    }
}
