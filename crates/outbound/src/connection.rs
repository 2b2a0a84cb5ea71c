//! A connection that speaks HTTP: the handshake, and the task that drives it.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use weir_config::Protocol;
use weir_meters::UpstreamMeter;

use crate::endpoint::EndpointPool;
use crate::error::SendError;
use crate::exec::LocalExec;
use crate::h2_io::{CONNECTION_WINDOW, FrameJoinerIo, STREAM_WINDOW};
use crate::info::{Established, WireProtocol};
use crate::trailer_io::{TrailerHandle, TrailerIo};
use crate::transport::{ResetOnDrop, Transport};

/// The period in which an HTTP/2 connection with open streams is asked for a sign of life. An upstream that vanished
/// is otherwise noticed only by the operating system, a quarter of an hour later.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// The longest that the answer may take.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What an HTTP/1.1 connection whose request was given up has left to become free. Most are free at once; the others have an
/// upstream that takes no more of the request.
const GRACE: Duration = Duration::from_secs(1);

/// The smallest buffer that hyper takes.
const MIN_BUFFER: usize = 8 << 10;

/// An HTTP/1.1 connection, for one request at a time.
pub(crate) struct Http1<B> {
    pub(crate) sender: http1::SendRequest<B>,
    pub(crate) established: Rc<Established>,
    pub(crate) trailers: TrailerHandle,
    pub(crate) made: Instant,
    parking: Rc<Parking<B>>,
}

/// An HTTP/2 connection, for any number of requests.
pub(crate) struct Http2<B> {
    pub(crate) sender: http2::SendRequest<B>,
    pub(crate) established: Rc<Established>,
    pub(crate) last_used: Instant,
    pub(crate) made: Instant,
    /// Told when the server's settings are known.
    pub(crate) settings: Rc<Notify>,
    /// Requests under way.
    pub(crate) streams: Rc<Cell<usize>>,
    /// As many as the server takes at once.
    most_streams: Rc<Cell<usize>>,
}

impl<B> Http2<B> {
    /// Returns true if the server takes another stream now.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.get() < self.most_streams.get()
    }
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
        *parking.busy.borrow_mut() = Some(self);
    }
}

impl<B: 'static> Http1<B> {
    /// What ends the request's use of the connection when it is dropped.
    pub(crate) fn lease(&self) -> RequestLease {
        RequestLease(Hold::Http1(Rc::clone(&self.parking) as Rc<dyn Abandon>))
    }
}

/// A request's use of its connection, kept until its exchange is over. Dropped before, it gives the request up: a connection of
/// HTTP/1.1 that does not become free soon is reset, since nothing else would end an upload that the upstream no longer reads.
#[derive(Debug)]
pub struct RequestLease(Hold);

enum Hold {
    Http1(Rc<dyn Abandon>),
    Http2(Rc<Cell<usize>>, Weak<dyn Freed>),
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "Http1",
            Self::Http2(..) => "Http2",
        })
    }
}

impl RequestLease {
    /// Counts a stream of an HTTP/2 connection; `endpoint` is told when it is over.
    pub(crate) fn stream(streams: &Rc<Cell<usize>>, endpoint: Weak<dyn Freed>) -> Self {
        streams.set(streams.get() + 1);
        Self(Hold::Http2(Rc::clone(streams), endpoint))
    }
}

impl Drop for RequestLease {
    fn drop(&mut self) {
        match &self.0 {
            Hold::Http1(connection) => connection.abandon(),
            Hold::Http2(streams, endpoint) => {
                streams.set(streams.get().saturating_sub(1));
                if let Some(endpoint) = endpoint.upgrade() {
                    endpoint.freed();
                }
            }
        }
    }
}

/// A connection of HTTP/1.1, without the type of its bodies.
trait Abandon {
    /// Its request was given up, or is over.
    fn abandon(&self);
}

/// An endpoint, without the type of its bodies.
pub(crate) trait Freed {
    /// A stream has ended on one of its connections.
    fn freed(&self);
}

/// The place where a busy HTTP/1.1 connection waits. Looked after by the task that drives the connection anyway, so that a
/// request needs no task of its own to bring its connection back.
struct Parking<B> {
    busy: RefCell<Option<Http1<B>>>,
    abandoned: Cell<bool>,
    driver: RefCell<Option<Waker>>,
}

impl<B> Abandon for Parking<B> {
    fn abandon(&self) {
        if self.busy.borrow().is_some() {
            self.abandoned.set(true);
            if let Some(driver) = self.driver.borrow().as_ref() {
                driver.wake_by_ref();
            }
        }
    }
}

impl<B> Parking<B> {
    /// The connection, if it can take another request. Wakes the task when it can.
    fn poll_free(&self, cx: &mut Context<'_>) -> Option<Http1<B>> {
        let mut parked = self.busy.borrow_mut();
        match parked.as_mut()?.sender.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                self.abandoned.set(false);
                parked.take()
            }
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
        let busy = self.0.busy.borrow_mut().take();
        drop(busy);
    }
}

/// Counts a connection for as long as it lives, from before it is made.
pub(crate) struct Live<B: 'static> {
    endpoint: Weak<EndpointPool<B>>,
    meter: Arc<UpstreamMeter>,
}

impl<B: 'static> Live<B> {
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

impl<B: 'static> Drop for Live<B> {
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
    let head = endpoint.upstream().config.head;
    let established = Rc::new(established);
    let fail = |error| SendError::from_hyper(error, false, false);
    match wire {
        WireProtocol::Http1 => {
            let reset = transport.reset_on_drop();
            let (io, trailers) = TrailerIo::new(transport);
            let (sender, connection) = http1::Builder::new()
                .max_headers(head.lines)
                .max_buf_size(usize::try_from(head.bytes).unwrap_or(usize::MAX).max(MIN_BUFFER))
                // RFC 9112, 5.1: a proxy takes the space away.
                .allow_spaces_after_header_name_in_responses(true)
                .handshake(TokioIo::new(io))
                .await
                .map_err(fail)?;
            let parking = Rc::new(Parking {
                busy: RefCell::new(None),
                abandoned: Cell::new(false),
                driver: RefCell::new(None),
            });
            let driver = drive_http1(
                connection.with_upgrades(),
                Rc::clone(&parking),
                Rc::downgrade(endpoint),
                reset,
                live,
            );
            drop(tokio::task::spawn_local(driver));
            Ok(Connected::Http1(Http1 {
                sender,
                established,
                trailers,
                made: Instant::now(),
                parking,
            }))
        }
        WireProtocol::Http2 => {
            let io = FrameJoinerIo::client(transport);
            let first_frame = io.first_frame();
            let settings = Rc::new(Notify::new());
            let (sender, connection) = http2::Builder::new(LocalExec)
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(u32::try_from(head.bytes).unwrap_or(u32::MAX))
                .keep_alive_interval(HTTP2_PING_INTERVAL)
                .keep_alive_timeout(HTTP2_PING_TIMEOUT)
                .handshake(TokioIo::new(io))
                .await
                .map_err(fail)?;
            let most_streams = Rc::new(Cell::new(connection.current_max_send_streams()));
            let (most, known) = (Rc::clone(&most_streams), Rc::clone(&settings));
            drop(tokio::task::spawn_local(async move {
                let _live = live;
                let mut connection = pin!(connection);
                let mut first_frame = pin!(first_frame.notified());
                let mut has_come = false;
                let end = poll_fn(|cx| {
                    let end = connection.as_mut().poll(cx);
                    // Another task reads the connection. In the turn in which it reads the settings it also heeds them.
                    most.set(connection.current_max_send_streams());
                    if !has_come && first_frame.as_mut().poll(cx).is_ready() {
                        has_come = true;
                        known.notify_one();
                    }
                    end
                });
                report_end(end.await);
            }));
            Ok(Connected::Http2(Http2 {
                sender,
                established,
                last_used: Instant::now(),
                made: Instant::now(),
                settings,
                streams: Rc::default(),
                most_streams,
            }))
        }
    }
}

async fn drive_http1<B: 'static>(
    connection: impl Future<Output = hyper::Result<()>>,
    parking: Rc<Parking<B>>,
    endpoint: Weak<EndpointPool<B>>,
    reset: ResetOnDrop,
    _live: Live<B>,
) {
    let parking = EmptyOnDrop(parking);
    let mut connection = pin!(connection);
    let mut grace = pin!(None::<Sleep>);
    // A task has one waker for as long as it lives.
    poll_fn(|cx| {
        *parking.0.driver.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(())
    })
    .await;
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
        if !parking.0.abandoned.get() {
            grace.set(None);
            return Poll::Pending;
        }
        if grace.is_none() {
            grace.set(Some(sleep(GRACE)));
        }
        if let Some(grace) = grace.as_mut().as_pin_mut()
            && grace.poll(cx).is_ready()
        {
            tracing::debug!(
                "connection to an upstream reset: its request was given up and it did not become free"
            );
            reset.set();
            return Poll::Ready(Ok(()));
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
