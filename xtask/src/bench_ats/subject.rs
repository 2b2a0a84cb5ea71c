//! Servers that are measured: one plugin each, doing the same job.

use std::cell::Cell;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use weir_ats_server::{AtsServer, Settings};

use super::origin::{Client, Origin};
use crate::sh;

/// The plugin that does the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// Nobody: the server alone.
    None,
    /// `header_rewrite.so`, which comes with the server.
    HeaderRewrite,
    /// `tslua.so`, which comes with the server.
    Lua,
    /// `wasm.so` as it is built here.
    Wasm,
}

/// The job that is done for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// One header is added to the request and one to the response.
    TwoHeaders,
    /// A computation of some 100 microseconds, and a header on the request for its result.
    Burn,
}

impl Plugin {
    /// All of them, the server alone first.
    pub const ALL: [Self; 4] = [Self::None, Self::HeaderRewrite, Self::Lua, Self::Wasm];

    /// The name in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "no plugin",
            Self::HeaderRewrite => "header_rewrite",
            Self::Lua => "tslua",
            Self::Wasm => "wasm.so",
        }
    }
}

impl Job {
    const fn name(self) -> &'static str {
        match self {
            Self::TwoHeaders => "two_headers",
            Self::Burn => "burn",
        }
    }

    /// The header that the origin has to see, and the one that the client has to see.
    const fn headers(self) -> [Option<&'static str>; 2] {
        match self {
            Self::TwoHeaders => [Some("x-bench-request: 1\r\n"), Some("x-bench-response: 1\r\n")],
            Self::Burn => [Some("x-bench-burn: "), None],
        }
    }
}

/// The means to start servers.
pub struct Setup {
    library: PathBuf,
    origin: Origin,
    started: Cell<usize>,
}

impl Setup {
    /// With the plugin as this library has it.
    pub fn new(library: PathBuf) -> Result<Self> {
        Ok(Self {
            library,
            origin: Origin::start()?,
            started: Cell::new(0),
        })
    }

    /// Starts a server and fills its cache. `wrapper`: the command that it is run by, if any.
    pub fn start(&self, plugin: Plugin, job: Job, threads: usize, wrapper: &[String]) -> Result<AtsServer> {
        let settings = self.settings(plugin, job, threads).wrapper(wrapper);
        let server = AtsServer::start(&settings).with_context(|| format!("with {}", plugin.label()))?;
        let answer = Client::new(server.http())?.fetch(1)?;
        self.started.set(self.started.get() + 1);
        if plugin != Plugin::None {
            // A plugin that does not do its job is fast.
            let [request, response] = job.headers();
            for (header, head) in [(request, self.origin.seen().last), (response, answer)] {
                ensure!(
                    header.is_none_or(|header| head.contains(header)),
                    "{} does not do its job:\n{head}\n{}",
                    plugin.label(),
                    server.log_text()
                );
            }
        }
        Ok(server)
    }

    /// Returns true if everything but the first request to each server was answered by its cache.
    pub fn expect_hits(&self) -> Result<()> {
        let (misses, started) = (self.origin.seen().requests, self.started.get());
        ensure!(
            misses == started,
            "{misses} requests reached the origin instead of {started}"
        );
        Ok(())
    }

    fn settings(&self, plugin: Plugin, job: Job, threads: usize) -> Settings {
        // As the server comes, but for its address and its log.
        let settings = Settings::new()
            .threads(threads)
            .debug_tags(None)
            .record("proxy.config.http.insert_request_via_str", 1)
            .record("proxy.config.http.insert_response_via_str", 1)
            .record("proxy.config.http.response_server_enabled", 1)
            .origin(self.origin.address);
        let source = |extension: &str| {
            let name = format!("xtask/src/bench_ats/{}.{extension}", job.name());
            sh::root().join(name)
        };
        match plugin {
            Plugin::None => settings,
            Plugin::HeaderRewrite => {
                settings.plugin(format!("header_rewrite.so {}", source("conf").display()))
            }
            Plugin::Lua => settings.plugin(format!("tslua.so {}", source("lua").display())),
            Plugin::Wasm => settings
                .module("wasm.so", &self.library)
                .file("bench.yaml", filter(job))
                .plugin("wasm.so bench.yaml"),
        }
    }
}

/// The document of the filter that does a job.
fn filter(job: Job) -> String {
    format!(
        "config:\n  name: bench\n  vm_config:\n    code:\n      local:\n        filename: {}\n",
        sh::root()
            .join("filters/target/wasm32-wasip1/release/examples")
            .join(job.name())
            .with_extension("wasm")
            .display()
    )
}
