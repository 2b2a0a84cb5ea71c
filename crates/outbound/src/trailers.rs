//! Trailers of a message, and the way they reach the wire.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use weir_http_rules::names::is_forbidden_in_trailers;

use crate::trailer_io::TrailerHandle;

/// The way of one message's trailers to the wire.
#[derive(Clone, Debug, Default)]
pub enum TrailerPath {
    /// Not at all: the framing has no room for them (a `Content-Length`, HTTP/1.0, no body).
    #[default]
    Dropped,
    /// As a trailers frame of the body: HTTP/2.
    Native,
    /// Spliced into the end of a chunked body: HTTP/1.1.
    Spliced(TrailerHandle),
}

/// A place for the [`TrailerPath`] of a request, which is only known once the request has a connection.
///
/// Put one into the request's extensions and keep a clone in its body; [`UpstreamPool::send`](crate::UpstreamPool::send)
/// fills it in before the body is first asked for a frame. With one in place, a request that has a body and no
/// `Content-Length` goes out in chunks even if the body's length is known.
#[derive(Clone, Debug, Default)]
pub struct RequestTrailers {
    // `http::Extensions` wants `Send + Sync`; one thread uses it, so the lock is never contended.
    path: Arc<Mutex<TrailerPath>>,
}

impl RequestTrailers {
    /// An empty place: [`TrailerPath::Dropped`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The path, once the request has a connection.
    pub fn path(&self) -> TrailerPath {
        self.path.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, path: TrailerPath) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }
}

/// A body whose trailers frame is sent the way that the connection asks for.
#[derive(Debug)]
pub struct TrailingBody<B> {
    body: B,
    route: Route,
    ended: bool,
}

#[derive(Debug)]
enum Route {
    Known(TrailerPath),
    Later(RequestTrailers),
}

impl<B> TrailingBody<B> {
    /// For a message whose connection is known, such as a response to a client.
    pub fn with_path(body: B, path: TrailerPath) -> Self {
        Self {
            body,
            route: Route::Known(path),
            ended: false,
        }
    }

    /// For a request: `trailers` must be in its extensions.
    pub fn with_slot(body: B, trailers: RequestTrailers) -> Self {
        Self {
            body,
            route: Route::Later(trailers),
            ended: false,
        }
    }

    fn path(&self) -> TrailerPath {
        match &self.route {
            Route::Known(path) => path.clone(),
            Route::Later(slot) => slot.path(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrailingBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let trailers = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => trailers,
                Err(data) => return Poll::Ready(Some(Ok(data))),
            },
            other => return Poll::Ready(other),
        };
        this.ended = true;
        Poll::Ready(match this.path() {
            TrailerPath::Dropped => None,
            TrailerPath::Native => Some(Ok(Frame::trailers(allowed(trailers)))),
            TrailerPath::Spliced(handle) => handle.arm(&trailers).map(|mark| Ok(Frame::data(mark))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.path() {
            // An exact length would make hyper write it as `Content-Length`, and the mark would not fit.
            TrailerPath::Spliced(_) => SizeHint::default(),
            TrailerPath::Native | TrailerPath::Dropped => self.body.size_hint(),
        }
    }
}

fn allowed(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_forbidden_in_trailers(name))
        .cloned()
        .collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}
