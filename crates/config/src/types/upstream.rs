//! Upstreams: servers for requests and for the guests' own calls.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::types::Trailers;

/// A named upstream: its endpoints, protocol and TLS. Plain data; `weir-outbound` loads it into a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// The name that routes and guests use.
    pub name: String,
    /// At least one. Requests are spread over them in turn; one that cannot be connected to gives way to the next.
    pub endpoints: Vec<Endpoint>,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// TLS; `None` is plain text.
    pub tls: Option<UpstreamTls>,
    /// The longest that opening a connection may take, per endpoint tried: name resolution, TCP, TLS and HTTP/2 preface
    /// together; [`Upstream::CONNECT_TIMEOUT`] unless given. Also bounds the wait for a free connection where
    /// [`Upstream::max_connections`] are in use.
    pub connect_timeout: Duration,
    /// The longest that an unused connection is kept; [`Upstream::IDLE_TIMEOUT`] unless given.
    pub idle_timeout: Duration,
    /// Replaces the request's authority (`Host`), if given.
    pub authority: Option<String>,
    /// Most connections per endpoint and worker; requests beyond them wait. [`Upstream::MAX_CONNECTIONS`]; no key changes
    /// it.
    pub max_connections: usize,
    /// Bytes and lines that the head of a response may have: `limits.header_bytes` and `limits.header_count` of the
    /// document.
    pub head: HeadLimits,
    /// The longest that a connection takes requests; `None`, the default, sets no bound.
    pub max_age: Option<Duration>,
    /// The fate of the trailers of responses that routes pass on. Answers to the calls of guests keep theirs.
    pub trailers: Trailers,
}

/// Bounds on the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeadLimits {
    /// Bytes; 64 KiB unless given.
    pub bytes: u64,
    /// Lines; 128 unless given.
    pub lines: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: 64 << 10,
            lines: 128,
        }
    }
}

impl Upstream {
    /// Long enough for one lost SYN.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Common servers close theirs after 60 to 75 seconds. A request that meets a connection which the server has just
    /// closed is sent again on a new one.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

    /// A bound that only a runaway reaches.
    pub const MAX_CONNECTIONS: usize = 1024;

    /// An upstream in plain text, and everything else as it is unless given.
    pub fn new(name: impl Into<String>, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            protocol: Protocol::Auto,
            tls: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
            idle_timeout: Self::IDLE_TIMEOUT,
            authority: None,
            max_connections: Self::MAX_CONNECTIONS,
            head: HeadLimits::default(),
            max_age: None,
            trailers: Trailers::default(),
        }
    }

    pub(crate) fn collect_files<'a>(&'a self, files: &mut BTreeSet<&'a PathBuf>) {
        let Some(tls) = &self.tls else {
            return;
        };
        files.extend(&tls.ca);
        if let Some(client) = &tls.client {
            files.extend([&client.certificate, &client.private_key]);
        }
    }
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A DNS name or an IP address, IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The version of HTTP towards an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The protocol that ALPN agrees on under TLS, HTTP/1.1 without.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: negotiated under TLS (a server that does not agree is an error), with prior knowledge without.
    Http2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The name that is sent (SNI) and that the certificate must carry; `None` means the endpoint's host.
    pub server_name: Option<String>,
    /// PEM file of the authorities that are trusted; `None` means the system's.
    pub ca: Option<PathBuf>,
    /// Takes any certificate for any name. Off unless given; for trying things out only.
    pub insecure_skip_verify: bool,
    /// The certificate that the proxy shows, if the upstream asks for one.
    pub client: Option<ClientIdentity>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// PEM file of the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub private_key: PathBuf,
}
