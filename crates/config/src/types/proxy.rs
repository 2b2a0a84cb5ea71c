//! The embedded proxy as a whole.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use weir_abi::limits;

use crate::types::{FilterConfig, HeadLimits, ProcessConfig, Route, Trailers, Upstream};

/// The configuration of `weir serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The file that was read, absolute.
    pub source: PathBuf,
    /// Addresses for clients; at least one. Plain text on [`Listener::DEFAULT`] unless given.
    pub listeners: Vec<Listener>,
    /// The upstreams under `upstreams:`, by name.
    pub upstreams: IndexMap<String, Arc<Upstream>>,
    /// The filters under `filters:`, by name, as they are without what routes change.
    pub filters: IndexMap<String, Arc<FilterConfig>>,
    /// In the order of the file; at least one.
    pub routes: Vec<Route>,
    /// Worker threads; the number of cores unless given.
    pub workers: usize,
    /// Bounds of a request.
    pub limits: Limits,
    /// Longest times.
    pub timeouts: Timeouts,
    /// Destination of the access log: a line for each request.
    pub access_log: AccessLog,
    /// The effect of filters that do not start on the start of the proxy.
    pub start: Start,
    /// Settings of the process, read once at its start.
    pub process: ProcessConfig,
    /// True if the proxy reloads its configuration when one of [`ProxyConfig::files`] changes; true unless given.
    pub watch: bool,
}

impl ProxyConfig {
    /// Every file that the configuration is made of, absolute, sorted, each once: its own, those of filters, modules,
    /// certificates.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = BTreeSet::from([&self.source]);
        for tls in self.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            files.extend([&tls.certificate, &tls.private_key]);
            files.extend(&tls.client_ca);
        }
        self.upstreams
            .values()
            .for_each(|upstream| upstream.collect_files(&mut files));
        self.filters
            .values()
            .for_each(|filter| filter.collect_files(&mut files));
        files.into_iter().cloned().collect()
    }
}

/// The effect of filters that do not start on the start of the proxy. A reload fails in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The start fails. The default.
    #[default]
    Strict,
    /// The proxy serves; requests get the fail policies of those filters.
    Lenient,
}

/// An address at which clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// TLS with ALPN `h2` and `http/1.1`; `None` is plain text, HTTP/1.1 and HTTP/2 with prior knowledge.
    pub tls: Option<ListenerTls>,
    /// The fate of the trailers of clients.
    pub trailers: Trailers,
}

impl Listener {
    /// The address of a configuration that names no listener: out of reach of other machines.
    pub const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// A listener in plain text, and everything else as it is unless given.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            trailers: Trailers::default(),
        }
    }
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// PEM file of the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub private_key: PathBuf,
    /// PEM file of the authorities whose certificates clients must show; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// Bounds of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Body bytes that are buffered for one filter while it holds a body back; 1 MiB unless given.
    pub body: u64,
    /// Bytes of one header block; 64 KiB unless given.
    pub header_bytes: u64,
    /// Header lines of one block; 128 unless given.
    pub header_count: usize,
    /// Client connections at a time, all listeners together; `None`, the default, sets no bound.
    pub connections: Option<usize>,
    /// True if a path with an escaped slash or backslash is answered 400; false unless given.
    pub refuse_escaped_slashes: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: limits::BODY as u64,
            header_bytes: HeadLimits::default().bytes,
            header_count: HeadLimits::default().lines,
            connections: None,
            refuse_escaped_slashes: false,
        }
    }
}

/// Longest times; none is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its headers; 10 s unless given.
    pub request_header: Duration,
    /// A client connection without a request; 60 s unless given.
    pub client_idle: Duration,
    /// From the request to the upstream's response headers; 60 s unless given.
    pub upstream: Duration,
    /// A pooled upstream connection without a request, unless the upstream says otherwise; 60 s unless given.
    pub upstream_idle: Duration,
    /// A stream on which no byte moves in either direction; 5 min unless given.
    pub stream_idle: Duration,
    /// A tunnel after a 101 on which no byte moves in either direction; [`TUNNEL_IDLE`](limits::TUNNEL_IDLE) unless given.
    pub tunnel_idle: Duration,
    /// The time that a graceful shutdown leaves to requests under way; 30 s unless given.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request_header: Duration::from_secs(10),
            client_idle: Duration::from_secs(60),
            upstream: Duration::from_secs(60),
            upstream_idle: Upstream::IDLE_TIMEOUT,
            stream_idle: Duration::from_secs(300),
            tunnel_idle: limits::TUNNEL_IDLE,
            drain: Duration::from_secs(30),
        }
    }
}

/// Destination of the access log, a line for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output. The default.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// Appended to this file, absolute.
    File(PathBuf),
}
