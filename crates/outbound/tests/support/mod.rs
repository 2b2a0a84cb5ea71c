//! Small servers on 127.0.0.1, on the runtime of the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests, of which each file uses its own part"
)]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use weir_config::{Endpoint, Protocol, Upstream};
use weir_outbound::{LoadedUpstream, LocalExec, TrailerIo, TrailerPath, UpstreamPool};

/// The body of the responses that test servers give.
pub type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Runs a test where pools live.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

pub fn full(data: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(data.into())
}

pub fn answer(data: impl Into<Bytes>) -> Response<Answer> {
    Response::new(full(data).boxed_unsync())
}

pub async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// An upstream in clear text with one endpoint.
pub fn upstream(address: SocketAddr, protocol: Protocol) -> Upstream {
    let mut upstream = Upstream::new("origin", vec![endpoint(address)]);
    upstream.protocol = protocol;
    upstream
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Facts about a server while it runs.
#[derive(Clone, Default)]
pub struct Watch {
    accepted: Rc<Cell<usize>>,
    closed: Rc<Cell<usize>>,
    changed: Rc<Notify>,
}

impl Watch {
    pub fn accepted(&self) -> usize {
        self.accepted.get()
    }

    /// Waits until this many connections have ended.
    pub async fn until_closed(&self, count: usize) {
        while self.closed.get() < count {
            self.changed.notified().await;
        }
    }
}

/// Serves every connection with `serve`.
pub async fn serve<S, F>(serve: S) -> (SocketAddr, Watch)
where
    S: Fn(TcpStream) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let watch = Watch::default();
    let seen = watch.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            seen.accepted.set(seen.accepted.get() + 1);
            let (seen, served) = (seen.clone(), serve(stream));
            tokio::task::spawn_local(async move {
                served.await;
                seen.closed.set(seen.closed.get() + 1);
                seen.changed.notify_one();
            });
        }
    });
    (address, watch)
}

/// A server of HTTP/1.1 or HTTP/2 with a handler.
pub async fn http<H, F>(protocol: Protocol, handler: H) -> (SocketAddr, Watch)
where
    H: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Answer>> + 'static,
{
    let handler = Rc::new(handler);
    serve(move |stream| {
        let handler = Rc::clone(&handler);
        async move { converse(stream, protocol, handler).await }
    })
    .await
}

/// Speaks HTTP on one stream. A response that has a `TrailerPath` in its extensions may be spliced.
pub async fn converse<T, H, F>(stream: T, protocol: Protocol, handler: Rc<H>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Answer>> + 'static,
{
    let (io, trailers) = TrailerIo::new(stream);
    let path = if protocol == Protocol::Http2 {
        TrailerPath::Native
    } else {
        TrailerPath::Spliced(trailers)
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(path.clone());
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // The client's side of the test judges the end of a conversation.
    let _ = if protocol == Protocol::Http2 {
        http2::Builder::new(LocalExec)
            .serve_connection(TokioIo::new(io), service)
            .await
    } else {
        http1::Builder::new()
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
            .await
    };
}

/// Reads until `end` has come, and returns all that was read.
pub async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        read.push(byte[0]);
    }
    read
}

/// Something that a test waits for and that happens once.
#[derive(Clone, Default)]
pub struct Gate(Rc<(Cell<bool>, Notify)>);

impl Gate {
    pub fn open(&self) {
        self.0.0.set(true);
        self.0.1.notify_waiters();
    }

    pub async fn passed(&self) {
        while !self.0.0.get() {
            self.0.1.notified().await;
        }
    }
}

/// Values that a server noted for the test.
pub type Notes<T> = Rc<RefCell<Vec<T>>>;

pub fn loaded(upstream: Upstream) -> Arc<LoadedUpstream> {
    Arc::new(LoadedUpstream::load(Arc::new(upstream)).unwrap())
}

pub fn pool<B: 'static>(upstream: Upstream) -> UpstreamPool<B> {
    UpstreamPool::new(loaded(upstream))
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "origin.test")
        .body(Full::default())
        .unwrap()
}
