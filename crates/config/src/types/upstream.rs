//! Where requests and the guests' own calls are sent.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A named upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The name that routes and guests use.
    pub name: String,
    /// At least one; requests are spread over them in turn.
    pub endpoints: Vec<Endpoint>,
    /// Which HTTP is spoken.
    pub protocol: Protocol,
    /// TLS; `None` is plain text.
    pub tls: Option<UpstreamTls>,
    /// The longest that opening a connection may take, TLS included; 5 s unless given.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept; 60 s unless given.
    pub idle_timeout: Duration,
    /// Replaces the request's authority (`Host`), if given.
    pub authority: Option<String>,
}

impl Upstream {
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

/// Which HTTP is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What ALPN agrees on under TLS, HTTP/1.1 without.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS with prior knowledge.
    Http2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that is sent (SNI) and that the certificate must carry; `None` means the endpoint's host.
    pub server_name: Option<String>,
    /// PEM file of the authorities that are trusted; `None` means the system's.
    pub ca: Option<PathBuf>,
    /// Take any certificate. Off unless given; for tests only.
    pub insecure_skip_verify: bool,
    /// The certificate that the proxy shows, if the upstream asks for one.
    pub client: Option<ClientIdentity>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file of the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub private_key: PathBuf,
}
