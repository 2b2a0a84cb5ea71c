//! A connection whose small DATA frames of HTTP/2 are joined, and the windows that go with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::h2_joiner::Joiner;

/// The window of a stream: what one peer can have us keep on one stream whose reader does not read. As large as a
/// distant peer needs for 5 MB in a second at a round trip of 50 ms.
pub const STREAM_WINDOW: u32 = 256 << 10;

/// The window of a connection: more than all its streams' windows together, so that streams which are not read stop no
/// others. `h2` keeps half of it as its budget for small frames that wait.
pub const CONNECTION_WINDOW: u32 = 256 << 20;

/// Streams that a client may have open at once.
pub const MAX_CONCURRENT_STREAMS: u32 = 100;

/// A stream of bytes between an HTTP library and the network. On connections of HTTP/2 small DATA frames that come are joined,
/// so that many of them do not end the connection; other connections pass through.
#[derive(Debug)]
pub struct FrameJoinerIo<T> {
    inner: T,
    joiner: Joiner,
    /// Waits for something to read.
    reader: Option<Waker>,
    /// Told once something has been read.
    first_frame: Arc<Notify>,
    has_read: bool,
}

impl<T> FrameJoinerIo<T> {
    /// Wraps a connection of a client, whose first bytes will tell its protocol. Streams must have [`STREAM_WINDOW`].
    pub fn server(inner: T) -> Self {
        Self::new(inner, Joiner::server(STREAM_WINDOW))
    }

    /// Wraps a connection of HTTP/2 to an upstream. Streams must have [`STREAM_WINDOW`].
    pub fn client(inner: T) -> Self {
        Self::new(inner, Joiner::client(STREAM_WINDOW))
    }

    fn new(inner: T, joiner: Joiner) -> Self {
        Self {
            inner,
            joiner,
            reader: None,
            first_frame: Arc::default(),
            has_read: false,
        }
    }

    /// Told when the first frame has come, which has the peer's settings.
    pub(crate) fn first_frame(&self) -> Arc<Notify> {
        Arc::clone(&self.first_frame)
    }

    fn wrote<'a>(&mut self, count: usize, bytes: impl Iterator<Item = &'a [u8]>) {
        let mut left = count;
        for part in bytes {
            let part = &part[..part.len().min(left)];
            left -= part.len();
            if self.joiner.wrote(part)
                && let Some(reader) = self.reader.take()
            {
                reader.wake();
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FrameJoinerIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.joiner.is_foreign() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        loop {
            let out = this.joiner.out();
            if !out.is_empty() {
                let count = out.len().min(buf.remaining());
                buf.put_slice(&out[..count]);
                out.drain(..count);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
            if polled.is_pending() {
                this.reader = Some(cx.waker().clone());
            }
            ready!(polled)?;
            if buf.filled().len() == before {
                this.joiner.read_end();
                if this.joiner.out().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if !std::mem::replace(&mut this.has_read, true) {
                this.first_frame.notify_one();
            }
            let kept = this.joiner.read(&mut buf.filled_mut()[before..]);
            buf.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FrameJoinerIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.wrote(count, std::iter::once(buf));
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        this.wrote(count, bufs.iter().map(|part| &**part));
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
