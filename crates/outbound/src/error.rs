//! Why a request could not be carried to an upstream.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A request that got no response. Cheap to clone: requests that waited for the same connection share its failure.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The upstream has no endpoint.
    #[error("upstream `{name}` has no endpoint")]
    NoEndpoint {
        /// The upstream.
        name: String,
    },
    /// Name resolution or the TCP connection failed.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// `host:port`.
        endpoint: String,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// No connection within the connect timeout.
    #[error("no connection to {endpoint} within {after:?}")]
    ConnectTimeout {
        /// `host:port`.
        endpoint: String,
        /// The bound.
        after: Duration,
    },
    /// All connections allowed are in use, and none became free within the connect timeout.
    #[error("all {limit} connections to {endpoint} are in use")]
    Overflow {
        /// `host:port`.
        endpoint: String,
        /// The bound.
        limit: usize,
    },
    /// The TLS handshake failed, for instance because the certificate was not trusted.
    #[error("TLS with {endpoint}: {source}")]
    Tls {
        /// `host:port`.
        endpoint: String,
        /// Carries a [`rustls::Error`] where TLS itself refused.
        source: Arc<io::Error>,
    },
    /// The server does not speak the protocol that the upstream is configured for.
    #[error("{endpoint} does not speak HTTP/2")]
    NotHttp2 {
        /// `host:port`.
        endpoint: String,
    },
    /// The request cannot be written in the protocol of the upstream.
    #[error("the request cannot be sent: {what}")]
    InvalidRequest {
        /// The fault.
        what: &'static str,
    },
    /// A connection stopped answering (HTTP/2 pings).
    #[error("the upstream stopped answering")]
    Timeout {
        /// Hyper's error.
        source: Arc<hyper::Error>,
    },
    /// The connection or the HTTP/2 stream was closed before a response came.
    #[error("the upstream closed the connection: {source}")]
    Reset {
        /// Hyper's error.
        source: Arc<hyper::Error>,
        /// True if bytes of the request may have reached the upstream.
        sent: bool,
        /// True if the connection had carried a request before, and as a whole is gone.
        reused: bool,
    },
    /// The upstream answered with something that is not HTTP.
    #[error("the upstream does not speak proper HTTP: {source}")]
    Protocol {
        /// Hyper's error.
        source: Arc<hyper::Error>,
    },
    /// The upstream applied a transfer coding that is not undone here: without its name the body would be another one.
    #[error("the response has a transfer coding other than chunked")]
    TransferCoding,
    /// The body of the request failed while it was sent.
    #[error("the request body failed: {source}")]
    RequestBody {
        /// Its source is the body's own error.
        source: Arc<hyper::Error>,
    },
}

impl SendError {
    /// One word for logs, metrics and `proxy_get_status`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoEndpoint { .. } | Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } | Self::Timeout { .. } => "timeout",
            Self::Overflow { .. } => "overflow",
            Self::Tls { .. } => "tls",
            Self::NotHttp2 { .. } | Self::Protocol { .. } | Self::TransferCoding => "protocol",
            Self::InvalidRequest { .. } => "request",
            Self::Reset { .. } => "reset",
            Self::RequestBody { .. } => "request body",
        }
    }

    /// Returns true if the upstream may have seen the request, so that sending it again may do its work twice.
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Reset { sent, .. } => *sent,
            Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::TransferCoding
            | Self::RequestBody { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the request deserves a second try, with [`UpstreamPool::send_anew`](crate::UpstreamPool::send_anew):
    /// it certainly has not been looked at, or it is `idempotent` (RFC 9110, section 9.2.2) and the likely cause is
    /// that the upstream closed a kept connection just when the request went out on it. The pool cannot do it, since
    /// the request is gone.
    pub fn deserves_another_try(&self, idempotent: bool) -> bool {
        matches!(self, Self::Reset { sent, reused, .. } if !sent || (*reused && idempotent))
    }

    /// Returns true if no connection could be had, so that another endpoint may do better.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::ConnectTimeout { .. }
                | Self::Tls { .. }
                | Self::NotHttp2 { .. }
                | Self::Overflow { .. }
        )
    }

    /// Sorts an error of hyper. `sent` tells whether the request had been given to the connection, `reused` whether
    /// that had carried others.
    pub(crate) fn from_hyper(error: hyper::Error, sent: bool, reused: bool) -> Self {
        let source = Arc::new(error);
        if source.is_timeout() {
            Self::Timeout { source }
        } else if source.is_parse() {
            Self::Protocol { source }
        } else if source.is_user() {
            Self::RequestBody { source }
        } else {
            let (sent, reused) = match h2_cause(&source) {
                // An answer to this stream alone says nothing of the connection.
                Some(cause) if cause.is_reset() => {
                    (cause.reason() != Some(h2::Reason::REFUSED_STREAM), false)
                }
                // An orderly goodbye ends the streams that the server has not looked at, and only those.
                Some(cause) if cause.is_go_away() && cause.is_remote() => {
                    (cause.reason() != Some(h2::Reason::NO_ERROR), reused)
                }
                _ => (sent, reused),
            };
            Self::Reset { source, sent, reused }
        }
    }
}

fn h2_cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}
