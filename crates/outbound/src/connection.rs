//! A connection that speaks HTTP: the handshake, and the task that drives it.

use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use weir_config::Protocol;
use weir_meters::UpstreamMeter;

use crate::endpoint::EndpointPool;
use crate::error::SendError;
use crate::exec::LocalExec;
use crate::info::{Established, WireProtocol};
use crate::trailer_io::{TrailerHandle, TrailerIo};
use crate::transport::Transport;

/// The period in which an HTTP/2 connection with open streams is asked for a sign of life. An upstream that vanished
/// is otherwise noticed only by the operating system, a quarter of an hour later.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// The longest that the answer may take.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// An HTTP/1.1 connection, for one request at a time.
pub(crate) struct Http1<B> {
    pub(crate) sender: http1::SendRequest<B>,
    pub(crate) established: Rc<Established>,
    pub(crate) trailers: TrailerHandle,
    parking: Rc<Parking<B>>,
}

/// An HTTP/2 connection, for any number of requests.
pub(crate) struct Http2<B> {
    pub(crate) sender: http2::SendRequest<B>,
    pub(crate) established: Rc<Established>,
    pub(crate) last_used: Instant,
}

/// A connection fresh from its handshake.
pub(crate) enum Connected<B> {
    Http1(Http1<B>),
    Http2(Http2<B>),
}

impl<B> Http1<B> {
    /// Leaves the connection to its driver, which gives it back to the pool when the request that was just handed
    /// to it is sent and its response read; or lets it go if it ends before.
    pub(crate) fn park(self) {
        let parking = Rc::clone(&self.parking);
        *parking.0.borrow_mut() = Some(self);
    }
}

/// The place where a busy HTTP/1.1 connection waits. Looked after by the task that drives the connection anyway, so that a
/// request needs no task of its own to bring its connection back.
struct Parking<B>(RefCell<Option<Http1<B>>>);

impl<B> Parking<B> {
    /// The connection, if it can take another request. Wakes the task when it can.
    fn poll_free(&self, cx: &mut Context<'_>) -> Option<Http1<B>> {
        let mut parked = self.0.borrow_mut();
        match parked.as_mut()?.sender.poll_ready(cx) {
            Poll::Ready(Ok(())) => parked.take(),
            Poll::Ready(Err(_)) => {
                *parked = None;
                None
            }
            Poll::Pending => None,
        }
    }
}

/// Empties the parking space when the driver ends or is dropped, since the two refer to each other.
struct EmptyOnDrop<B>(Rc<Parking<B>>);

impl<B> Drop for EmptyOnDrop<B> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().take();
    }
}

/// Counts a connection for as long as it lives, from before it is made.
pub(crate) struct Live<B> {
    endpoint: Weak<EndpointPool<B>>,
    meter: Arc<UpstreamMeter>,
}

impl<B> Live<B> {
    pub(crate) fn new(endpoint: &Rc<EndpointPool<B>>) -> Self {
        endpoint.count_up();
        let meter = Arc::clone(&endpoint.upstream().meter);
        meter.connections.increment();
        Self {
            endpoint: Rc::downgrade(endpoint),
            meter,
        }
    }
}

impl<B> Drop for Live<B> {
    fn drop(&mut self) {
        self.meter.closed.increment();
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.count_down();
        }
    }
}

/// Connects and shakes hands, and begins to drive the connection.
pub(crate) async fn connect<B>(
    endpoint: &Rc<EndpointPool<B>>,
    protocol: Protocol,
    live: Live<B>,
) -> Result<Connected<B>, SendError>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (transport, established) =
        Transport::connect(endpoint.upstream(), endpoint.endpoint(), protocol).await?;
    let wire = established.protocol;
    let established = Rc::new(established);
    let fail = |error| SendError::from_hyper(error, false, false);
    match wire {
        WireProtocol::Http1 => {
            let (io, trailers) = TrailerIo::new(transport);
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(fail)?;
            let parking = Rc::new(Parking(RefCell::new(None)));
            let driver = drive_http1(
                connection.with_upgrades(),
                Rc::clone(&parking),
                Rc::downgrade(endpoint),
                live,
            );
            drop(tokio::task::spawn_local(driver));
            Ok(Connected::Http1(Http1 {
                sender,
                established,
                trailers,
                parking,
            }))
        }
        WireProtocol::Http2 => {
            let (sender, connection) = http2::Builder::new(LocalExec)
                .timer(TokioTimer::new())
                .keep_alive_interval(HTTP2_PING_INTERVAL)
                .keep_alive_timeout(HTTP2_PING_TIMEOUT)
                .handshake(TokioIo::new(transport))
                .await
                .map_err(fail)?;
            drop(tokio::task::spawn_local(async move {
                let _live = live;
                report_end(connection.await);
            }));
            Ok(Connected::Http2(Http2 {
                sender,
                established,
                last_used: Instant::now(),
            }))
        }
    }
}

async fn drive_http1<B: 'static>(
    connection: impl Future<Output = hyper::Result<()>>,
    parking: Rc<Parking<B>>,
    endpoint: Weak<EndpointPool<B>>,
    _live: Live<B>,
) {
    let parking = EmptyOnDrop(parking);
    let mut connection = pin!(connection);
    let end = poll_fn(|cx| {
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            return Poll::Ready(end);
        }
        if let Some(free) = parking.0.poll_free(cx) {
            // Without a pool it is dropped, which ends this task.
            if let Some(endpoint) = endpoint.upgrade() {
                endpoint.give_back(free);
            }
        }
        Poll::Pending
    });
    report_end(end.await);
}

fn report_end(end: hyper::Result<()>) {
    if let Err(error) = end {
        // The request on it, if any, has been told.
        tracing::debug!(%error, "connection to an upstream ended");
    }
}
