//! Settings of a server.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::RecordValue;
use crate::records::Records;

/// Settings of a server. Without anything set: one net thread, no plugin, no remap rule, a cache, `wasm` as debug
/// tag.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) threads: usize,
    pub(crate) http_port: Option<u16>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) cache: bool,
    pub(crate) cache_megabytes: u32,
    pub(crate) debug_tags: Option<String>,
    pub(crate) plugins: Vec<String>,
    pub(crate) modules: Vec<(String, PathBuf)>,
    pub(crate) remap: Vec<String>,
    pub(crate) records: Records,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) managed: bool,
    pub(crate) wrapper: Vec<OsString>,
    pub(crate) patience: Duration,
    pub(crate) folder: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 1,
            http_port: None,
            tls: None,
            cache: true,
            cache_megabytes: 32,
            debug_tags: Some("^wasm$".to_owned()),
            plugins: Vec::new(),
            modules: Vec::new(),
            remap: Vec::new(),
            records: Records::default(),
            files: Vec::new(),
            environment: Vec::new(),
            managed: false,
            wrapper: Vec::new(),
            patience: Duration::from_secs(60),
            folder: None,
        }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Net threads (`ET_NET`).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The port for clear text, HTTP/1.1 and HTTP/2 with prior knowledge; one that is free unless given.
    #[must_use]
    pub fn http_port(mut self, port: u16) -> Self {
        self.http_port = Some(port);
        self
    }

    /// A port for TLS too, with this certificate and key.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, private_key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), private_key.into()));
        self
    }

    /// Turns the cache on or off.
    #[must_use]
    pub fn cache(mut self, on: bool) -> Self {
        self.cache = on;
        self
    }

    /// Size of the cache on disk.
    #[must_use]
    pub fn cache_megabytes(mut self, size: u32) -> Self {
        self.cache_megabytes = size;
        self
    }

    /// Which debug output is written: a regular expression for tags, or none at all.
    #[must_use]
    pub fn debug_tags(mut self, tags: Option<&str>) -> Self {
        self.debug_tags = tags.map(str::to_owned);
        self
    }

    /// A line of `plugin.config`.
    #[must_use]
    pub fn plugin(mut self, line: impl Into<String>) -> Self {
        self.plugins.push(line.into());
        self
    }

    /// A plugin that did not come with the installation, to be found by this name in `plugin.config` and `remap.config`.
    #[must_use]
    pub fn module(mut self, name: &str, library: impl Into<PathBuf>) -> Self {
        self.modules.push((name.to_owned(), library.into()));
        self
    }

    /// A line of `remap.config`.
    #[must_use]
    pub fn remap(mut self, line: impl Into<String>) -> Self {
        self.remap.push(line.into());
        self
    }

    /// A remap rule that sends everything to an origin. The origin sees the client's `Host`.
    #[must_use]
    pub fn origin(self, address: SocketAddr) -> Self {
        self.remap(format!("map / http://{address}/"))
    }

    /// A record by its name in 9.2, such as `proxy.config.http.negative_caching_enabled`.
    #[must_use]
    pub fn record(mut self, name: &str, value: impl Into<RecordValue>) -> Self {
        self.records.set(name, value);
        self
    }

    /// A further file of the folder of the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// An environment variable of the server.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets `traffic_ctl` work: before 10 that takes a `traffic_manager`, and two seconds more to start.
    #[must_use]
    pub fn managed(mut self, managed: bool) -> Self {
        self.managed = managed;
        self
    }

    /// A command that the server is run by, such as `valgrind --tool=callgrind`. Not together with
    /// [`Settings::managed`] before 10.
    #[must_use]
    pub fn wrapper<T: Into<OsString>>(mut self, command: impl IntoIterator<Item = T>) -> Self {
        self.wrapper = command.into_iter().map(Into::into).collect();
        self
    }

    /// Time for the server until it serves.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A folder to keep everything in, which stays when the server ends; one that goes with it unless given.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }
}
