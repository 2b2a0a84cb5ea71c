//! Facts about the connection that a request went out on.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::connection::RequestLease;

/// The connection of a request, and the way to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection.
    pub connection: Rc<Established>,
    /// From asking for a connection to having one, failed attempts included.
    pub time_to_connection: Duration,
    /// True if the connection had carried a request before, or carries others at the same time.
    pub reused: bool,
    /// The number of connections that were tried, the last one included; 1 where all went well.
    pub attempts: u32,
    /// To be kept until the exchange is over: see [`RequestLease`].
    pub lease: RequestLease,
}

/// A connection to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The upstream's side.
    pub peer_addr: SocketAddr,
    /// Our side.
    pub local_addr: SocketAddr,
    /// The protocol of the connection.
    pub protocol: WireProtocol,
    /// Set on a TLS connection.
    pub tls: Option<TlsFacts>,
}

/// The HTTP version spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The outcome of the TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that was asked for and verified.
    pub server_name: String,
    /// The upstream's own certificate.
    pub peer_certificate: Option<CertificateDer<'static>>,
}
