//! Trailers on HTTP/1.1 connections that nobody announced.
//!
//! hyper writes trailers in HTTP/1.1 only where a `Trailer` header named them before the body began. A filter adds
//! them when the body has ended, which is too late for that. [`TrailerIo`] sits between hyper and the stream and
//! writes them itself: the body ends with a chunk of 16 random bytes that only this connection knows, and where
//! that chunk and the end of the body pass by, the end of the body with trailers is written in their place.
//!
//! A proxy's use of it, for responses to clients (for requests to upstreams the pool does all this, see
//! [`RequestTrailers`](crate::RequestTrailers)):
//!
//! 1. Wrap the accepted stream: `let (io, trailers) = TrailerIo::new(stream);`, and serve HTTP/1 on `io`.
//! 2. Give each response a [`TrailingBody`](crate::TrailingBody) with
//!    [`TrailerPath::Spliced`](crate::TrailerPath::Spliced), **only** where hyper frames it in chunks: the request
//!    was HTTP/1.1 and not HEAD, the status is not 1xx, 204 or 304, there is no `Content-Length` header. Elsewhere
//!    use [`TrailerPath::Dropped`](crate::TrailerPath::Dropped), for HTTP/2
//!    [`TrailerPath::Native`](crate::TrailerPath::Native).
//! 3. Or, with a body of one's own: when it has ended, yield the bytes that [`TrailerHandle::arm`] returns as its
//!    very last data frame, nothing after it, and no trailers frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use weir_http_rules::names::is_forbidden_in_trailers;

use crate::trailer_splice::{MARK_LEN, Splice};

/// Most bytes taken in one write while searching, which bounds the copy that a search makes.
const MAX_SEARCHED: usize = 64 * 1024;

/// A stream that can put trailers at the end of a chunked body. Costs one atomic load per write while none are due.
#[derive(Debug)]
pub struct TrailerIo<T> {
    inner: T,
    armed: Arc<Armed>,
    /// The search that is going on.
    splice: Option<Splice>,
    /// Bytes taken from hyper and not yet taken by `inner`.
    output: Vec<u8>,
    written: usize,
}

/// Orders trailers on the connection that it came with.
#[derive(Clone, Debug)]
pub struct TrailerHandle {
    armed: Arc<Armed>,
}

/// The state that the two halves share. hyper wants streams that can be upgraded to be `Send`, so this is thread-safe though
/// both halves live on one thread and the lock is never contended.
#[derive(Debug, Default)]
struct Armed {
    any: AtomicBool,
    queue: Mutex<VecDeque<Splice>>,
}

impl TrailerHandle {
    /// Orders `trailers` to be written at the end of the body that is being sent. Returns the bytes that the body
    /// must yield as its last data frame, or `None` where there is nothing to write: no trailers, or only ones
    /// whose names [may not be trailers](is_forbidden_in_trailers).
    ///
    /// The body must be framed in chunks, or the bytes reach the other side.
    pub fn arm(&self, trailers: &HeaderMap) -> Option<Bytes> {
        let mut end = b"0\r\n".to_vec();
        for (name, value) in trailers
            .iter()
            .filter(|(name, _)| !is_forbidden_in_trailers(name))
        {
            end.extend_from_slice(name.as_str().as_bytes());
            end.extend_from_slice(b": ");
            end.extend_from_slice(value.as_bytes());
            end.extend_from_slice(b"\r\n");
        }
        if end.len() == 3 {
            return None;
        }
        end.extend_from_slice(b"\r\n");
        let mut mark = [0; MARK_LEN];
        if let Err(error) = getrandom::fill(&mut mark) {
            tracing::warn!(%error, "trailers are dropped: no random bytes");
            return None;
        }
        let mut queue = self.armed.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(Splice::new(mark, end));
        self.armed.any.store(true, Ordering::Release);
        Some(Bytes::copy_from_slice(&mark))
    }
}

impl<T> TrailerIo<T> {
    /// Wraps a stream.
    pub fn new(inner: T) -> (Self, TrailerHandle) {
        let armed = Arc::new(Armed::default());
        let handle = TrailerHandle {
            armed: Arc::clone(&armed),
        };
        (
            Self {
                inner,
                armed,
                splice: None,
                output: Vec::new(),
                written: 0,
            },
            handle,
        )
    }

    /// The stream inside.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Begins the next search if one is due. Returns whether one is going on.
    fn searching(&mut self) -> bool {
        if self.splice.is_none() && self.armed.any.load(Ordering::Acquire) {
            let mut queue = self.armed.queue.lock().unwrap_or_else(PoisonError::into_inner);
            self.splice = queue.pop_front();
            self.armed.any.store(!queue.is_empty(), Ordering::Release);
        }
        self.splice.is_some()
    }

    /// Takes input through the search. Returns how much of it was taken.
    fn search(&mut self, input: &[u8]) -> usize {
        let Some(splice) = &mut self.splice else { return 0 };
        let fed = splice.feed(input, &mut self.output);
        if fed.done {
            self.splice = None;
        }
        fed.consumed
    }
}

impl<T: AsyncWrite + Unpin> TrailerIo<T> {
    /// Writes out what was taken earlier.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.output[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        if self.written > 0 {
            // Trailers are rare, so the memory is not kept on what may be an idle connection.
            self.output = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a search's output as far as the stream goes at once. The rest is for later writes and flushes.
    fn drain_now(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_drain(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TrailerIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if !this.searching() {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        let taken = this.search(&buf[..buf.len().min(MAX_SEARCHED)]);
        this.drain_now(cx)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        if !this.searching() {
            return Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        }
        let mut taken = 0;
        for buf in bufs {
            taken += this.search(&buf[..buf.len().min(MAX_SEARCHED - taken)]);
            if this.splice.is_none() || taken == MAX_SEARCHED {
                break;
            }
        }
        this.drain_now(cx)?;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(splice) = this.splice.take() {
            this.output.extend_from_slice(splice.abandon());
        }
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrailerIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Takes as many bytes at a time as it is told; 0 is "not now".
    struct Sink {
        taken: Vec<u8>,
        portions: Vec<usize>,
        at: usize,
    }

    impl Sink {
        fn portion(&mut self) -> Option<usize> {
            let portion = self.portions[self.at % self.portions.len()];
            self.at += 1;
            (portion > 0).then_some(portion)
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let Some(portion) = self.portion() else {
                return Poll::Pending;
            };
            let count = portion.min(buf.len());
            self.taken.extend_from_slice(&buf[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let Some(portion) = self.portion() else {
                return Poll::Pending;
            };
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let count = portion.min(all.len());
            self.taken.extend_from_slice(&all[..count]);
            Poll::Ready(Ok(count))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes `input` in pieces, vectored or not, as hyper does: what was not taken is offered again.
    fn write(io: &mut TrailerIo<Sink>, mut input: &[u8], pieces: &[usize], vectored: bool) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut piece = 0;
        while !input.is_empty() {
            let end = pieces[piece % pieces.len()].min(input.len());
            piece += 1;
            let polled = if vectored {
                let (left, right) = input[..end].split_at(end / 2);
                Pin::new(&mut *io).poll_write_vectored(&mut cx, &[IoSlice::new(left), IoSlice::new(right)])
            } else {
                Pin::new(&mut *io).poll_write(&mut cx, &input[..end])
            };
            if let Poll::Ready(count) = polled {
                input = &input[count.unwrap()..];
            }
        }
        while Pin::new(&mut *io).poll_flush(&mut cx).is_pending() {}
    }

    fn chunk(data: &[u8]) -> Vec<u8> {
        [format!("{:X}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
    }

    fn trailers() -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.append("x-hash", HeaderValue::from_static("abc"));
        trailers.append("x-hash", HeaderValue::from_bytes(b"\xff").unwrap());
        trailers.append("content-length", HeaderValue::from_static("0"));
        trailers
    }

    const END: &[u8] = b"0\r\nx-hash: abc\r\nx-hash: \xff\r\n\r\n";

    fn io(portions: Vec<usize>) -> (TrailerIo<Sink>, TrailerHandle) {
        TrailerIo::new(Sink {
            taken: Vec::new(),
            portions,
            at: 0,
        })
    }

    /// Something that goes on, so that a test never waits for ever.
    fn portions() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(0_usize..30, 0..6).prop_map(|mut portions| {
            portions.push(9);
            portions
        })
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_bytes(
            bodies in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b"10\r\n0\r\n\r\n".to_vec()), any::<[u8; 5]>().prop_map(Vec::from)], 1..9), 1..4),
            pieces in proptest::collection::vec(1_usize..50, 1..6),
            portions in portions(),
            vectored in any::<bool>(),
        ) {
            let (mut io, handle) = io(portions);
            let mut expected = Vec::new();
            // Several messages one after the other, as on a kept connection.
            for body in &bodies {
                let data = chunk(&body.concat());
                write(&mut io, &data, &pieces, vectored);
                let mark = handle.arm(&trailers()).unwrap();
                let rest = [data.clone(), chunk(&mark), b"0\r\n\r\n".to_vec()].concat();
                write(&mut io, &rest, &pieces, vectored);
                expected.extend([&data[..], &data, END].concat());
            }
            prop_assert_eq!(&io.inner.taken, &expected);
            prop_assert!(io.splice.is_none() && io.output.is_empty());
        }

        #[test]
        fn without_trailers_nothing_is_touched(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            pieces in proptest::collection::vec(1_usize..50, 1..6),
            portions in portions(),
            vectored in any::<bool>(),
        ) {
            let (mut io, _handle) = io(portions);
            write(&mut io, &data, &pieces, vectored);
            prop_assert_eq!(&io.inner.taken, &data);
        }
    }

    #[test]
    fn two_messages_in_one_write_get_their_own_trailers() {
        let (mut io, handle) = io(vec![1000]);
        let first = handle.arm(&trailers()).unwrap();
        let second = handle.arm(&trailers()).unwrap();
        let input = [
            chunk(&first),
            b"0\r\n\r\n".to_vec(),
            chunk(b"hi"),
            chunk(&second),
            b"0\r\n\r\nmore".to_vec(),
        ];
        write(&mut io, &input.concat(), &[1000], false);
        assert_eq!(io.inner.taken, [END, b"2\r\nhi\r\n", END, b"more"].concat());
    }

    #[test]
    fn a_shutdown_gives_back_what_was_held() {
        let (mut io, handle) = io(vec![1000]);
        handle.arm(&trailers()).unwrap();
        write(&mut io, b"data10\r\n", &[1000], false);
        assert_eq!(io.inner.taken, b"data");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut io).poll_shutdown(&mut cx).is_ready());
        assert_eq!(io.inner.taken, b"data10\r\n");
    }

    #[test]
    fn no_trailers_arm_nothing() {
        let (_io, handle) = io(vec![1]);
        let mut forbidden = trailers();
        forbidden.remove("x-hash");
        assert_eq!(handle.arm(&forbidden), None);
        assert_eq!(handle.arm(&HeaderMap::new()), None);
        assert!(!handle.armed.any.load(Ordering::Acquire));
    }
}
