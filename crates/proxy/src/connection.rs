//! One client connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::UPGRADE;
use http::{Method, Request};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use weir_config::{Limits, Trailers};
use weir_outbound::{
    CONNECTION_WINDOW, FrameJoinerIo, LocalExec, MAX_CONCURRENT_STREAMS, STREAM_WINDOW, TrailerHandle,
    TrailerIo,
};

use crate::connection_limit::Admitted;
use crate::exchange;
use crate::listener::ListenerRules;
use crate::stream::facts::ConnectionFacts;
use crate::target_io::TargetIo;
use crate::tls::TlsSession;
use crate::watched_io::{Activity, BodyLength, WatchedIo};
use crate::worker::Worker;

/// The smallest buffer that hyper takes.
const MIN_BUFFER: usize = 8 << 10;

/// How many times `limits.header_bytes` `h2` reads of a header block. What is longer than the limit is 431 for its stream; only
/// what is longer than this ends the connection, since the blocks that follow can be read by those before alone.
const HEAD_ROOM: usize = 4;

/// The time that a connection which is to be closed has left for its farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// A client connection, as its exchanges see it.
pub(crate) struct Connection {
    /// The worker that it belongs to.
    pub worker: Rc<Worker>,
    /// The facts that hold for all exchanges of the connection.
    pub facts: Arc<ConnectionFacts>,
    /// The way of trailers onto an HTTP/1.1 connection.
    pub trailers: TrailerHandle,
    /// The fate of the client's trailers.
    pub trailer_rule: Trailers,
    /// Counts for as long as an exchange is left, which a tunnel is after the connection itself has ended.
    _admitted: Admitted,
}

impl Connection {
    /// hyper has read the head of a request, and says where its body ends.
    pub fn read_head(&self, request: &Request<Incoming>) {
        let may_switch = request.headers().contains_key(UPGRADE) || request.method() == Method::CONNECT;
        let length = match request.body().size_hint().exact() {
            Some(length) if !may_switch => BodyLength::Known(length),
            _ => BodyLength::Unknown,
        };
        self.facts.activity.read_head(length);
    }

    /// An exchange begins.
    pub fn begin(&self, version: http::Version) {
        self.facts.activity.begin(version == http::Version::HTTP_2);
    }

    /// The time since a byte last moved on the connection.
    pub fn still_for(&self) -> Duration {
        self.facts.activity.still_for()
    }

    /// An exchange ends.
    pub fn end(&self) {
        self.facts.activity.end();
    }
}

/// The worker's part of a connection.
pub(crate) struct Watch {
    /// Number of the connection.
    pub id: u64,
    /// The activity of the connection.
    pub activity: Arc<Activity>,
    /// Asks it to close.
    pub close: Rc<Notify>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, rules: ListenerRules, admitted: Admitted) {
    // A proxy writes what it has; waiting for more only adds delay.
    let _ = stream.set_nodelay(true);
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let ListenerRules { tls, trailers } = rules;
    match tls {
        None => serve_stream(worker, stream, (peer, local), None, trailers, admitted).await,
        Some(tls) => {
            let Some(limit) = worker
                .revision()
                .map(|revision| revision.plan.timeouts.request_header)
            else {
                return;
            };
            let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
            match tokio::time::timeout(limit, handshake).await {
                Ok(Ok(stream)) => {
                    let session = tls.session(stream.get_ref().1);
                    serve_stream(worker, stream, (peer, local), Some(session), trailers, admitted).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        }
    }
}

async fn serve_stream<T>(
    worker: Rc<Worker>,
    stream: T,
    (peer, local): (SocketAddr, SocketAddr),
    tls: Option<TlsSession>,
    trailer_rule: Trailers,
    admitted: Admitted,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
    let Some(revision) = worker.revision() else {
        return;
    };
    let builder = builder(&revision.plan.limits);
    drop(revision);
    let id = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let activity = Activity::new();
    let close = Rc::new(Notify::new());
    let watched = WatchedIo::new(stream, Arc::clone(&activity));
    let (io, trailers) = TrailerIo::new(FrameJoinerIo::server(TargetIo::new(
        watched,
        Arc::clone(&activity),
    )));
    let facts = Arc::new(ConnectionFacts {
        id,
        peer,
        local,
        tls,
        activity: Arc::clone(&activity),
    });
    let watch = Watch {
        id,
        activity,
        close: Rc::clone(&close),
    };
    let _presence = worker.connections.enter(&worker, watch);
    let drain = worker.draining();
    let connection = Rc::new(Connection {
        worker,
        facts,
        trailers,
        trailer_rule,
        _admitted: admitted,
    });
    let service = service_fn(|request| {
        connection.read_head(&request);
        exchange::serve(Rc::clone(&connection), request)
    });
    let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    let outcome = tokio::select! {
        outcome = serving.as_mut() => Ok(outcome),
        () = close.notified() => Err(true),
        () = drain => Err(false),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(overdue) => {
            serving.as_mut().graceful_shutdown();
            if overdue {
                // Whoever sent nothing for so long does not get to keep the connection by sending nothing more.
                tokio::time::timeout(FAREWELL, serving).await.unwrap_or(Ok(()))
            } else {
                tokio::select! {
                    outcome = serving => outcome,
                    () = close.notified() => Ok(()),
                }
            }
        }
    };
    if let Err(error) = outcome {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            connection.worker.log_refused(peer, error);
        }
        tracing::debug!(%peer, error = %Causes(&*error), "connection ended");
    }
}

fn builder(limits: &Limits) -> auto::Builder<LocalExec> {
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    let mut builder = auto::Builder::new(LocalExec);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The worker's own rounds know idle connections from slow ones; hyper's timer does not.
        .header_read_timeout(None)
        // One more than allowed, so that it is us who answers, and logs it.
        .max_headers(limits.header_count.saturating_add(1))
        .max_buf_size(header_bytes.max(MIN_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(u32::try_from(header_bytes.saturating_mul(HEAD_ROOM)).unwrap_or(u32::MAX));
    builder
}

/// An error with what caused it.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
