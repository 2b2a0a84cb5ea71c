//! Bytes to and from an upstream, in clear text or under TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir_config::{Endpoint, Protocol};

use crate::error::SendError;
use crate::info::{Established, TlsFacts, WireProtocol};
use crate::tls::Tls;
use crate::upstream::LoadedUpstream;

/// A connected stream, and how it is closed.
pub(crate) struct Transport {
    stream: Stream,
    abandoned: Arc<AtomicBool>,
}

/// An enumeration rather than a trait object, so that hyper's code exists once per body type.
enum Stream {
    Plain(TcpStream),
    // Boxed because the TLS state is some kilobytes and clear text is common.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Has a connection reset when it is dropped: nobody wants what it has not sent yet. hyper wants streams that can be
/// upgraded to be `Send`, so this is thread-safe though one thread uses it.
#[derive(Clone, Debug)]
pub(crate) struct ResetOnDrop(Arc<AtomicBool>);

impl ResetOnDrop {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if self.abandoned.load(Ordering::Relaxed) {
            let stream = match &self.stream {
                Stream::Plain(stream) => stream,
                Stream::Tls(stream) => stream.get_ref().0,
            };
            // Otherwise the kernel keeps what was not sent for as long as the other side is there.
            let _ = stream.set_zero_linger();
        }
    }
}

impl Transport {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            abandoned: Arc::default(),
        }
    }

    /// Says how the stream is closed.
    pub(crate) fn reset_on_drop(&self) -> ResetOnDrop {
        ResetOnDrop(Arc::clone(&self.abandoned))
    }

    /// Resolves, connects and, under TLS, shakes hands. `protocol` may be narrower than the upstream's own.
    pub(crate) async fn connect(
        upstream: &LoadedUpstream,
        endpoint: &Endpoint,
        protocol: Protocol,
    ) -> Result<(Self, Established), SendError> {
        let connect_error = |source| SendError::Connect {
            endpoint: endpoint.to_string(),
            source: Arc::new(source),
        };
        let stream = connect_tcp(endpoint).await.map_err(connect_error)?;
        // A proxy writes what it has; waiting for more only adds delay.
        stream.set_nodelay(true).map_err(connect_error)?;
        let peer_addr = stream.peer_addr().map_err(connect_error)?;
        let local_addr = stream.local_addr().map_err(connect_error)?;
        match &upstream.tls {
            None => {
                let protocol = if protocol == Protocol::Http2 {
                    WireProtocol::Http2
                } else {
                    WireProtocol::Http1
                };
                Ok((
                    Self::new(Stream::Plain(stream)),
                    Established {
                        peer_addr,
                        local_addr,
                        protocol,
                        tls: None,
                    },
                ))
            }
            Some(tls) => {
                let (stream, wire, facts) = shake_hands(stream, tls, endpoint, protocol).await?;
                Ok((
                    Self::new(Stream::Tls(Box::new(stream))),
                    Established {
                        peer_addr,
                        local_addr,
                        protocol: wire,
                        tls: Some(facts),
                    },
                ))
            }
        }
    }
}

async fn connect_tcp(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut failure = None;
    for address in resolve(endpoint).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await?
        .collect())
}

async fn shake_hands(
    stream: TcpStream,
    tls: &Tls,
    endpoint: &Endpoint,
    protocol: Protocol,
) -> Result<(TlsStream<TcpStream>, WireProtocol, TlsFacts), SendError> {
    let tls_error = |source| SendError::Tls {
        endpoint: endpoint.to_string(),
        source: Arc::new(source),
    };
    let name = tls
        .server_name(&endpoint.host)
        .map_err(|error| tls_error(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let server_name = name.to_str().into_owned();
    let stream = TlsConnector::from(tls.config(protocol))
        .connect(name, stream)
        .await
        .map_err(tls_error)?;
    let (_, session) = stream.get_ref();
    let wire = match session.alpn_protocol() {
        Some(b"h2") => WireProtocol::Http2,
        _ if protocol == Protocol::Http2 => {
            return Err(SendError::NotHttp2 {
                endpoint: endpoint.to_string(),
            });
        }
        _ => WireProtocol::Http1,
    };
    let facts = TlsFacts {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        server_name,
        peer_certificate: session
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|certificate| certificate.clone().into_owned()),
    };
    Ok((stream, wire, facts))
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
