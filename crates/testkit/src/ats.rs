//! Traffic Server with the plugin, as a process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_ats_server::{AtsServer, RecordValue, Settings, plugin_library};

use crate::tls::Identity;
use crate::{Logs, PATIENCE, code_cache, compiler};

/// Name of the plugin in `plugin.config` and `remap.config`.
const PLUGIN: &str = "wasm.so";

/// The configuration of a Traffic Server.
#[derive(Clone, Debug)]
pub struct AtsConfig {
    /// The origin of all requests that no rule of [`AtsConfig::remap`] is about.
    pub origin: SocketAddr,
    /// The chain of filters: blocks, each with a `name` that its file gets. Without any the plugin is not loaded.
    pub filters: Vec<Value>,
    /// Whose plugin they are.
    pub mode: Mode,
    /// Net threads.
    pub threads: usize,
    /// True if responses are cached.
    pub cache: bool,
    /// A port for TLS, with this certificate.
    pub tls: Option<Identity>,
    /// True if [`Ats::reload`] is to work. Takes two seconds more to start.
    pub managed: bool,
    /// Further records.
    pub records: Vec<(String, RecordValue)>,
    /// Lines of `plugin.config`, before that of the filters.
    pub plugin: Vec<String>,
    /// Lines of `remap.config`, before that of the origin.
    pub remap: Vec<String>,
    /// Further files of the folder of the configuration.
    pub files: Vec<(String, String)>,
    /// Environment variables of the server.
    pub environment: Vec<(String, String)>,
    /// A command that starts the server, which is its last arguments.
    pub wrapper: Vec<String>,
}

/// The place of filters in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In `plugin.config`.
    #[default]
    Global,
    /// At the remap rule of the origin.
    Remap,
}

impl AtsConfig {
    /// One net thread, a cache, no filter.
    pub fn new(origin: SocketAddr) -> Self {
        Self {
            origin,
            filters: Vec::new(),
            mode: Mode::default(),
            threads: 1,
            cache: true,
            tls: None,
            managed: false,
            records: Vec::new(),
            plugin: Vec::new(),
            remap: Vec::new(),
            files: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// With a further filter.
    #[must_use]
    pub fn filter(mut self, block: Value) -> Self {
        self.filters.push(block);
        self
    }

    /// With a further file that holds a filter, for lines of [`AtsConfig::plugin`] and [`AtsConfig::remap`].
    #[must_use]
    pub fn filter_file(mut self, name: &str, block: &Value) -> Self {
        self.files.push((name.to_owned(), document(block)));
        self
    }

    /// With a further line of `remap.config`.
    #[must_use]
    pub fn rule(mut self, line: impl Into<String>) -> Self {
        self.remap.push(line.into());
        self
    }

    /// With a further record.
    #[must_use]
    pub fn record(mut self, name: &str, value: impl Into<RecordValue>) -> Self {
        self.records.push((name.to_owned(), value.into()));
        self
    }

    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::new()
            .threads(self.threads)
            .cache(self.cache)
            .managed(self.managed)
            .patience(PATIENCE)
            .env("WEIR_CODE_CACHE", code_cache())
            .wrapper(self.wrapper.clone())
            .env("WEIR_COMPILER", compiler()?)
            .module(PLUGIN, plugin_library()?)
            // So that what arrives upstream is what was sent and what filters made of it.
            .record("proxy.config.http.insert_client_ip", 0)
            .record("proxy.config.http.insert_squid_x_forwarded_for", 0)
            // An origin that fails is asked at the next request all the same.
            .record("proxy.config.http.down_server.cache_time", 0)
            .record("proxy.config.http.connect_attempts_max_retries", 0)
            .record("proxy.config.http.connect_attempts_rr_retries", 0);
        if let Some(identity) = &self.tls {
            settings = settings.tls(&identity.certificate, &identity.private_key);
        }
        for (name, value) in &self.records {
            settings = settings.record(name, value.clone());
        }
        for (name, content) in &self.files {
            settings = settings.file(name, content.as_str());
        }
        for (name, value) in &self.environment {
            settings = settings.env(name, value);
        }
        for line in &self.plugin {
            settings = settings.plugin(line);
        }
        for line in &self.remap {
            settings = settings.remap(line);
        }

        let mut files = Vec::new();
        for block in &self.filters {
            let file = file(block)?;
            settings = settings.file(&file, document(block));
            files.push(file);
        }
        let rule = format!("map / http://{}/", self.origin);
        Ok(match self.mode {
            _ if files.is_empty() => settings.remap(rule),
            Mode::Global => settings
                .plugin(format!("{PLUGIN} {}", files.join(" ")))
                .remap(rule),
            Mode::Remap => settings.remap(format!(
                "{rule} @plugin={PLUGIN} @pparam={}",
                files.join(" @pparam=")
            )),
        })
    }
}

/// A running Traffic Server. Killed when dropped.
pub struct Ats {
    server: AtsServer,
    logs: Arc<Logs>,
}

impl Ats {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    ///
    /// Traffic Server is not installed or the plugin not built, or the server ended instead of serving; what it wrote is in
    /// the message.
    pub fn start(config: &AtsConfig) -> Result<Self> {
        let server = AtsServer::start(&config.settings()?)?;
        let logs = Logs::follow(server.follow()?);
        Ok(Self { server, logs })
    }

    /// Plain-text listen address: HTTP/1.1, and HTTP/2 with prior knowledge.
    pub fn address(&self) -> SocketAddr {
        self.server.http()
    }

    /// Listen address for TLS.
    ///
    /// # Errors
    ///
    /// The server was given no certificate.
    pub fn tls_address(&self) -> Result<SocketAddr> {
        self.server.https().context("the server has no port for TLS")
    }

    /// Its log, debug output of the plugin too.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The server itself.
    pub fn server(&self) -> &AtsServer {
        &self.server
    }

    /// Ends the server as its operator does, and returns how it ended.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub fn stop(&mut self) -> Result<std::process::ExitStatus> {
        self.server.stop()
    }

    /// Replaces the file of a filter in one step, as an editor does.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_filter(&self, name: &str, block: &Value) -> Result<()> {
        self.server.write(&format!("{name}.yaml"), document(block))
    }

    /// Has it read its configuration again: `traffic_ctl config reload`. Returns before that is done.
    ///
    /// # Errors
    ///
    /// The server is not managed.
    pub fn reload(&self) -> Result<()> {
        self.server.ctl(&["config", "reload"]).map(drop)
    }
}

/// The file of a filter.
fn file(block: &Value) -> Result<String> {
    let name = block["name"].as_str().context("a filter without a name")?;
    Ok(format!("{name}.yaml"))
}

/// A document with a filter's block in it. JSON is YAML.
fn document(block: &Value) -> String {
    format!("{:#}\n", json!({ "config": block }))
}
