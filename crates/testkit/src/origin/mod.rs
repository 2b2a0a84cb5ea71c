//! A real origin: HTTP/1.1 and HTTP/2, in clear text or under TLS. It does what the query of a request asks for and
//! keeps what arrived.

mod answer;
mod raw;
mod record;
mod script;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::PATIENCE;

pub use raw::RawOrigin;
pub use record::Record;

/// A running origin. Ends when dropped.
///
/// Without a query it echoes the body of a request, or says `hello from the origin` to one without. A query changes that:
///
/// | `key=value` | the response |
/// |---|---|
/// | `status=404` | has this status |
/// | `header=name:value` | has this field line; as often as needed |
/// | `body=text` | has this body, and its length |
/// | `size=1000` | has a body of so many bytes, sent as it is made |
/// | `chunk=text` | has a body in pieces, without a length; as often as needed |
/// | `trailer=name:value` | ends in this field line (in HTTP/1.1, with `te: trailers` in the request only) |
/// | `delay=100` | waits so many milliseconds before its head and after each chunk |
/// | `etag=text` | has this entity tag, and is a 304 to who has it already |
/// | `revalidate=503` | the status in place of that 304 |
/// | `ranges` | `body` in the part that the request wants |
/// | `early` | does not wait for the body of the request |
/// | `abort` | breaks off after its body instead of ending |
///
/// Every response has the header `x-origin: 1`.
pub struct Origin {
    address: SocketAddr,
    kept: Arc<Kept>,
    // Held for its tasks.
    _runtime: Runtime,
}

#[derive(Default)]
pub(crate) struct Kept {
    records: Mutex<Vec<Record>>,
    changed: Condvar,
}

impl Origin {
    /// Starts an origin in clear text: HTTP/1.1, and HTTP/2 with prior knowledge.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start() -> Result<Self> {
        Self::serve(None)
    }

    /// Starts an origin under TLS.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start_tls(config: Arc<ServerConfig>) -> Result<Self> {
        Self::serve(Some(TlsAcceptor::from(config)))
    }

    /// The address of the origin.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, `http`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests that have arrived whole, in that order.
    pub fn records(&self) -> Vec<Record> {
        self.kept.lock().clone()
    }

    /// Waits for a request that `wanted` likes.
    pub fn wait_for(&self, wanted: impl Fn(&Record) -> bool) -> Option<Record> {
        self.wait_for_new(0, wanted)
    }

    /// As [`Origin::wait_for`], without those that were there when there were `first`.
    pub fn wait_for_new(&self, first: usize, wanted: impl Fn(&Record) -> bool) -> Option<Record> {
        let until = Instant::now() + PATIENCE;
        let mut records = self.kept.lock();
        loop {
            if let Some(found) = records.iter().skip(first).find(|record| wanted(record)) {
                return Some(found.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            records = self
                .kept
                .changed
                .wait_timeout(records, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn serve(tls: Option<TlsAcceptor>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept::default());
        runtime.spawn(accept(listener, tls, Arc::clone(&kept)));
        Ok(Self {
            address,
            kept,
            _runtime: runtime,
        })
    }
}

impl Kept {
    pub(crate) fn keep(&self, record: Record) {
        self.lock().push(record);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, kept: Arc<Kept>) {
    // An error is one connection's own (it was reset before it was accepted); the next one may do.
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(connection(stream, tls.clone(), Arc::clone(&kept)));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, kept: Arc<Kept>) {
    // The other side sees a failure on a connection, and tests look there.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, kept).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                http(stream, kept).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, kept: Arc<Kept>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move { Ok::<_, Infallible>(answer::answer(request, kept).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
