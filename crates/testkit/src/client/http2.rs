//! HTTP/2, with prior knowledge or under TLS.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::message::{Content, Fields, Outcome, Request, Response};
use crate::PATIENCE;

/// A connection.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Pieces>,
    scheme: &'static str,
}

impl Http2 {
    /// Connects in clear text, with prior knowledge.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self {
            runtime,
            sender,
            scheme: "http",
        })
    }

    /// Connects under TLS; `name` is sent (SNI) and must be in the certificate, and `h2` must be agreed on.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or the handshake fails.
    pub fn connect_tls(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> Result<Self> {
        let runtime = runtime()?;
        let name = ServerName::try_from(name.to_owned())?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            ensure!(
                stream.get_ref().1.alpn_protocol() == Some(b"h2"),
                "no HTTP/2 was agreed on"
            );
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        })?;
        Ok(Self {
            runtime,
            sender,
            scheme: "https",
        })
    }

    /// Sends a request and receives the response to it.
    ///
    /// # Errors
    ///
    /// The request cannot be put into HTTP/2, or no answer came in time.
    pub fn request(&mut self, request: &Request) -> Result<Outcome> {
        let mut outcomes = self.requests(std::slice::from_ref(request))?;
        Ok(outcomes.remove(0))
    }

    /// Sends all requests at once and receives the responses to them.
    ///
    /// # Errors
    ///
    /// As for [`Http2::request`].
    pub fn requests(&mut self, requests: &[Request]) -> Result<Vec<Outcome>> {
        let built: Result<Vec<_>> = requests
            .iter()
            .map(|request| build(self.scheme, request))
            .collect();
        self.runtime.block_on(async {
            let begun: Vec<_> = built?
                .into_iter()
                .map(|request| tokio::spawn(exchange(self.sender.clone(), request)))
                .collect();
            let mut outcomes = Vec::new();
            for exchange in begun {
                outcomes.push(tokio::time::timeout(PATIENCE, exchange).await???);
            }
            Ok(outcomes)
        })
    }
}

async fn exchange(mut sender: SendRequest<Pieces>, request: http::Request<Pieces>) -> Result<Outcome> {
    let Ok(response) = sender.send_request(request).await else {
        return Ok(Outcome::Reset);
    };
    let (head, mut body) = response.into_parts();
    let mut received = Response {
        status: head.status.as_u16(),
        headers: fields(&head.headers),
        ..Response::default()
    };
    while let Some(frame) = next(&mut body).await {
        let Ok(frame) = frame else {
            return Ok(Outcome::Reset);
        };
        match frame.into_data() {
            Ok(data) => received.body.extend(data),
            Err(frame) => received
                .trailers
                .extend(frame.trailers_ref().map(fields).unwrap_or_default()),
        }
    }
    Ok(Outcome::Response(received))
}

async fn next(body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
    body.frame().await
}

fn build(scheme: &str, request: &Request) -> Result<http::Request<Pieces>> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(request.authority.as_str())
        .path_and_query(request.path.as_str())
        .build()?;
    let mut frames = VecDeque::new();
    match &request.content {
        Content::Empty => {}
        Content::Sized(body) => frames.push_back(Frame::data(Bytes::from(body.clone()))),
        Content::Chunks(chunks) => {
            frames.extend(chunks.iter().map(|chunk| Frame::data(Bytes::from(chunk.clone()))));
        }
    }
    if !request.trailers.is_empty() {
        frames.push_back(Frame::trailers(header_map(&request.trailers)?));
    }
    let mut built = http::Request::new(Pieces(frames));
    *built.method_mut() = Method::from_bytes(request.method.as_bytes())?;
    *built.uri_mut() = uri;
    *built.headers_mut() = header_map(&request.headers)?;
    if let Content::Sized(body) = &request.content {
        built
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, body.len().into());
    }
    Ok(built)
}

fn header_map(fields: &Fields) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name.as_bytes())?,
            HeaderValue::from_bytes(value)?,
        );
    }
    Ok(map)
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

/// The frames of a request's body, all there from the beginning.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
