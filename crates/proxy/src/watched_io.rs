//! A connection whose reads and writes are noticed, so that timeouts know what it is doing.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

/// How long a client that we have ended with may be silent.
const SILENCE: Duration = Duration::from_secs(2);

/// How long it may go on sending.
const LINGER: Duration = Duration::from_secs(10);

/// How many bytes it may send.
const LINGER_BYTES: usize = 32 << 20;

/// So many portions are dropped in one turn.
const READS: usize = 16;

/// The activity of a connection. hyper wants connections that can be upgraded to be `Send`, so this is thread-safe though
/// one thread uses it.
#[derive(Debug)]
pub(crate) struct Activity {
    born: Instant,
    /// Exchanges under way.
    exchanges: AtomicU32,
    /// Milliseconds after birth at which a byte last moved, or an exchange ended.
    moved: AtomicU64,
    /// Bytes have come since the last exchange ended.
    receiving: AtomicBool,
    /// Milliseconds after birth at which the first of them came.
    receiving_since: AtomicU64,
    http2: AtomicBool,
    /// A request was answered that has not been read to its end.
    unread: AtomicBool,
    /// The length of the body behind the head that hyper has read last, or [`NO_LENGTH`], or [`UNKNOWN_LENGTH`].
    body_length: AtomicU64,
}

const NO_LENGTH: u64 = u64::MAX;
const UNKNOWN_LENGTH: u64 = u64::MAX - 1;

/// The number of bytes behind the head of a request of HTTP/1 that are its body, as hyper frames it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// So many; 0 where there is no body.
    Known(u64),
    /// Unknown: the body is chunked, or the connection may change its protocol.
    Unknown,
}

impl Activity {
    /// A connection that has just been made.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            exchanges: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            receiving: AtomicBool::new(false),
            receiving_since: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            body_length: AtomicU64::new(NO_LENGTH),
        })
    }

    /// An exchange begins.
    pub fn begin(&self, http2: bool) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.receiving.store(false, Ordering::Relaxed);
        self.http2.store(http2, Ordering::Relaxed);
    }

    /// An exchange ends.
    pub fn end(&self) {
        self.exchanges.fetch_sub(1, Ordering::Relaxed);
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// A request was answered that has not been read to its end, so that the client may still be sending.
    pub fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// hyper has read a head. Said before hyper reads anything else.
    pub fn read_head(&self, body: BodyLength) {
        let length = match body {
            BodyLength::Known(length) => length.min(UNKNOWN_LENGTH),
            BodyLength::Unknown => UNKNOWN_LENGTH,
        };
        self.body_length.store(length, Ordering::Relaxed);
    }

    /// Takes the length of the body behind the head that hyper has read last; `None` if hyper has read none since.
    pub fn take_body_length(&self) -> Option<BodyLength> {
        match self.body_length.swap(NO_LENGTH, Ordering::Relaxed) {
            NO_LENGTH => None,
            UNKNOWN_LENGTH => Some(BodyLength::Unknown),
            length => Some(BodyLength::Known(length)),
        }
    }

    /// Returns true if every request so far was read to its end and no exchange is under way.
    pub fn is_between_requests(&self) -> bool {
        self.is_idle() && !self.unread.load(Ordering::Relaxed)
    }

    /// Returns true if no exchange is under way.
    pub fn is_idle(&self) -> bool {
        self.exchanges.load(Ordering::Relaxed) == 0
    }

    /// The time since a byte last moved.
    pub fn still_for(&self) -> Duration {
        self.since(&self.moved)
    }

    /// The time since the head of a request began to come; `None` where none is coming. On HTTP/2 that cannot be told from
    /// other frames.
    pub fn head_for(&self) -> Option<Duration> {
        let coming =
            self.is_idle() && self.receiving.load(Ordering::Relaxed) && !self.http2.load(Ordering::Relaxed);
        coming.then(|| self.since(&self.receiving_since))
    }

    fn moved(&self, read: bool) {
        let now = self.now();
        self.moved.store(now, Ordering::Relaxed);
        if read && self.is_idle() && !self.receiving.swap(true, Ordering::Relaxed) {
            self.receiving_since.store(now, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(moment.load(Ordering::Relaxed)))
    }
}

/// A stream whose reads and writes are noticed.
///
/// It is closed in stages where a request was answered before it was read to its end (RFC 9112, 9.6): after our end what still
/// comes is read and dropped. Closed at once, the connection would be reset, and the client would lose an answer that it has
/// not read.
pub(crate) struct WatchedIo<T> {
    inner: T,
    activity: Arc<Activity>,
    lingering: Option<Lingering>,
}

/// Our side has ended.
struct Lingering {
    until: tokio::time::Instant,
    timer: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<T> WatchedIo<T> {
    /// Watches a stream.
    pub fn new(inner: T, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            activity,
            lingering: None,
        }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(outcome, Poll::Ready(Ok(1..))) {
            self.activity.moved(false);
        }
        outcome
    }
}

impl<T: AsyncRead + Unpin> WatchedIo<T> {
    /// Drops what comes until the client has ended too, is silent for [`SILENCE`], or has had [`LINGER`] or
    /// [`LINGER_BYTES`].
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = tokio::time::Instant::now();
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            until: now + LINGER,
            timer: Box::pin(sleep_until(now + SILENCE)),
            bytes: 0,
        });
        let mut dropped = [0; 8 << 10];
        for _ in 0..READS {
            let mut buf = ReadBuf::new(&mut dropped);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Pending => return lingering.timer.as_mut().poll(cx),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    lingering.bytes += buf.filled().len();
                    let silent = tokio::time::Instant::now() + SILENCE;
                    lingering.timer.as_mut().reset(silent.min(lingering.until));
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        if lingering.bytes > LINGER_BYTES || tokio::time::Instant::now() >= lingering.until {
            return Poll::Ready(());
        }
        // The others on the worker's thread first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.activity.moved(true);
        }
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.wrote(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.activity.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx).map(Ok)
    }
}
