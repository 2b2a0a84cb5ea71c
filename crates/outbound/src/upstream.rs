//! What an upstream is: a name, where it can be reached, and how it is spoken to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::uri::Authority;

use crate::tls::Tls;

/// How long to wait for a connection, TCP and TLS together, unless configured: long enough for one lost SYN.
pub(crate) const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept unless configured: common servers close theirs after 60 to 75 seconds.
pub(crate) const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Connections per endpoint and worker unless configured: a bound that only a runaway reaches.
pub(crate) const DEFAULT_MAX_CONNECTIONS: usize = 1024;

/// The description of an upstream. Plain data, made once and shared by all workers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Upstream {
    /// The name by which routes and guests ask for it.
    pub name: String,
    /// Where it can be reached. Used in turn; one that cannot be connected to gives way to the next.
    pub endpoints: Vec<Endpoint>,
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// Set where it is spoken to over TLS.
    pub tls: Option<Tls>,
    /// Replaces the authority (`Host`, `:authority`) of every request to it.
    pub authority: Option<Authority>,
    /// Bound on name resolution, TCP connect, TLS handshake and HTTP/2 preface together, per endpoint tried. Also
    /// bounds the wait for a free connection where [`Upstream::max_connections`] are in use.
    pub connect_timeout: Duration,
    /// A connection unused for this long is closed.
    pub idle_timeout: Duration,
    /// Most connections per endpoint and worker; requests beyond it wait.
    pub max_connections: usize,
}

impl Upstream {
    /// An upstream in clear text with the usual bounds: 5 s to connect, 55 s idle, 1,024 connections.
    pub fn new(name: impl Into<String>, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            protocol: Protocol::Auto,
            tls: None,
            authority: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
        }
    }
}

/// Which HTTP version is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: negotiated under TLS (a server that does not agree is an error), with prior knowledge in clear text.
    Http2,
    /// What TLS negotiates (ALPN); HTTP/1.1 in clear text.
    #[default]
    Auto,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// `host` is a name or an IP address, the latter without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Reads `host:port`, `1.2.3.4:port` and `[::1]:port`.
impl FromStr for Endpoint {
    type Err = EndpointParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || EndpointParseError {
            text: text.to_owned(),
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(refuse)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let address = inner.strip_suffix(']').ok_or_else(refuse)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| refuse())?;
                address
            }
            None => host,
        };
        let plain = !text.starts_with('[');
        if host.is_empty() || (plain && !host.bytes().all(is_host_byte)) {
            return Err(refuse());
        }
        Ok(Self::new(host, port))
    }
}

/// Written as it is read, so also as an authority.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not host:port")]
pub struct EndpointParseError {
    text: String,
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written() {
        for text in ["origin.example:80", "127.0.0.1:8080", "[::1]:443", "a_b-c:1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:443".parse::<Endpoint>().unwrap().host(), "::1");
    }

    #[test]
    fn malformed_endpoints_are_refused() {
        for text in [
            "",
            "host",
            ":80",
            "host:",
            "host:0",
            "host:65536",
            "::1:80",
            "[::1]80",
            "[x]:1",
            "a b:1",
            "a/b:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
