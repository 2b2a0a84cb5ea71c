//! Weir as it is built here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::subject::{Filter, Subject, folder, free_address};

/// The answer of every proxy.
pub const BODY: &str = "Hello, World!";

/// The edits of every proxy's filter: one header on the request, one on the response.
pub const FILTER_CONFIGURATION: &str =
    r#"{"request":{"add":{"x-bench-request":"1"}},"response":{"add":{"x-bench-response":"1"}}}"#;

/// Starts Weir with a static upstream, so that nothing but the proxy is measured.
pub fn start(binary: &Path, filter: Filter, workers: usize) -> Result<Subject> {
    let address = free_address()?;
    let config = folder()?.join(format!("weir-{}.yaml", address.port()));
    std::fs::write(&config, configuration(filter, workers))
        .with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(binary);
    command
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .args(["--listen", &address.to_string()]);
    Subject::start("Weir", filter, workers, address, command)
}

fn configuration(filter: Filter, workers: usize) -> String {
    let filters = match filter {
        Filter::None => "[]",
        Filter::TwoHeaders => "[two-headers]",
    };
    // Envoy writes no access log either.
    format!(
        r#"listeners:
  - address: 127.0.0.1:0
workers: {workers}
access_log: off
filters:
  two-headers:
    config:
      configuration: '{FILTER_CONFIGURATION}'
      vm_config:
        code:
          local:
            filename: {module}
routes:
  - filters: {filters}
    static:
      headers: {{ content-type: text/plain }}
      body: "{BODY}"
"#,
        module = Filter::module().display(),
    )
}
