//! The same filter under each runtime, in both proxies.

use std::any::Any;
use std::process::Command;

use anyhow::{Context, Result};
use weir_ats_server::{AtsServer, Settings};

use super::{Mode, Way};
use crate::bench::subject::{self, folder, free_address};
use crate::bench::wrk::Target;
use crate::bench_ats::Origin;
use crate::sh;

/// The filter and its configuration: a header on the request and one on the response.
const MODULE: &str = "filters/target/wasm32-wasip1/release/header_rewrite.wasm";
const CONFIGURATION: &str = r#"{"request":{"add":{"x-a":"1"}},"response":{"add":{"x-b":"1"}}}"#;

/// The libraries that are not in the binaries, where `cargo xtask` puts it.
const COMPANIONS: [(&str, &str); 2] = [
    ("WEIR_V8_LIB", "target/v8/libweir_v8.so"),
    ("WEIR_WAMR_COMPILER", "target/wamr-compiler/weir-wamr-compiler"),
];

/// A proxy that is loaded; it ends with this value.
pub struct Subject {
    label: String,
    pid: u32,
    url: String,
    _running: Box<dyn Any>,
}

impl Subject {
    pub fn target(&self) -> Target {
        Target {
            label: self.label.clone(),
            pid: self.pid,
            url: self.url.clone(),
            script: None,
        }
    }
}

/// Starts both proxies without a filter, and with one under each runtime.
pub fn start() -> Result<Vec<Subject>> {
    let modes = || std::iter::once(None).chain(Mode::ALL.map(Some));
    let mut subjects = Vec::new();
    for mode in modes() {
        subjects.push(weir(mode)?);
    }
    for mode in modes() {
        subjects.push(ats(mode)?);
    }
    Ok(subjects)
}

fn label(proxy: &str, mode: Option<Mode>) -> String {
    mode.map_or_else(
        || format!("{proxy}, no filter"),
        |mode| format!("{proxy}, {}", mode.label()),
    )
}

fn weir(mode: Option<Mode>) -> Result<Subject> {
    let address = free_address()?;
    let file = folder()?.join(format!("engines-{}.yaml", address.port()));
    let filters = match mode {
        Some(mode) => format!("filters:\n  headers:\n    config: {}\n", block(mode)),
        None => String::new(),
    };
    let used = if mode.is_some() { "headers" } else { "" };
    let text = format!(
        "listeners:\n  - address: 127.0.0.1:0\nworkers: 1\naccess_log: off\n{filters}routes:\n  - filters: [{used}]\n    \
         static:\n      body: Hello\n"
    );
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(sh::target_dir().join("release/weir"));
    command.args(["serve", "--config"]).arg(&file);
    command.args(["--listen", &address.to_string()]);
    if mode.is_some_and(|mode| mode.way == Way::Fuel) {
        command.args(["--wasmtime", "fuel"]);
    }
    for (variable, file) in COMPANIONS {
        command.env(variable, sh::root().join(file));
    }
    let running = subject::Subject::start("Weir", subject::Filter::None, 1, address, command)?;
    let Target { pid, url, .. } = running.target();
    Ok(Subject {
        label: label("weir serve", mode),
        pid,
        url,
        _running: Box::new(running),
    })
}

fn ats(mode: Option<Mode>) -> Result<Subject> {
    let origin = Origin::start()?;
    let mut settings = Settings::new().threads(1).debug_tags(None).origin(origin.address);
    for (variable, file) in COMPANIONS {
        settings = settings.env(variable, sh::root().join(file));
    }
    if let Some(mode) = mode {
        let fuel = if mode.way == Way::Fuel {
            "--wasmtime=fuel "
        } else {
            ""
        };
        settings = settings
            .module("wasm.so", sh::target_dir().join("release/libwasm.so"))
            .file("headers.yaml", format!("config: {}\n", block(mode)).as_str())
            .plugin(format!("wasm.so {fuel}headers.yaml"));
    }
    let label = label("Traffic Server", mode);
    let server = AtsServer::start(&settings).with_context(|| label.clone())?;
    Ok(Subject {
        label,
        pid: server.pid(),
        url: format!("http://{}/", server.http()),
        _running: Box::new(server),
    })
}

/// The filter's block, in one line.
fn block(mode: Mode) -> String {
    format!(
        "{{ name: headers, configuration: '{CONFIGURATION}', vm_config: {{ runtime: {}, code: {{ local: {{ filename: {} }} }} \
         }} }}",
        mode.engine,
        sh::root().join(MODULE).display()
    )
}
