//! Bodies as hyper pulls them: the ends of the two pumps.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use weir_chain::{Abort, Direction, Item, Length, LocalSource, Pieces, Pump, Source, SourceError};

use crate::echo::EchoBody;
use crate::exchange::Exchange;
use crate::filters::ChainCalls;
use crate::source::IncomingSource;
use crate::stream::{ProxyMessages, SharedState};

/// The request on its way to the upstream.
pub(crate) type RequestPump = Pump<IncomingSource<Incoming>, ChainCalls, ProxyMessages>;

/// The response on its way to the client.
pub(crate) type ResponsePump = Pump<ResponseSource, ChainCalls, ProxyMessages>;

/// Errors of bodies.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// A message that was ended before its end.
#[derive(Debug)]
pub(crate) struct Aborted(pub &'static str);

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended early: {}", self.0)
    }
}

impl Error for Aborted {}

/// Body of a request to the upstream.
pub(crate) struct RequestBody {
    /// `None` where there is no body.
    pump: Option<Box<RequestPump>>,
    outlet: Outlet,
}

impl RequestBody {
    /// The body that comes out of a pump whose head has gone, or nothing.
    pub fn new(pump: RequestPump, length: Length) -> Self {
        let ended = length == Length::None;
        if ended {
            pump.state().borrow_mut().messages.facts.request_sent_at = Some(Instant::now());
        }
        Self {
            pump: (!ended).then(|| Box::new(pump)),
            outlet: Outlet::new(length),
        }
    }

    /// No body.
    pub fn none() -> Self {
        Self {
            pump: None,
            outlet: Outlet::new(Length::None),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(pump) = this.pump.as_mut().filter(|_| !this.outlet.ended) else {
            return Poll::Ready(None);
        };
        let frame = ready!(this.outlet.poll_frame(pump, Direction::Request, cx));
        if this.outlet.ended {
            pump.state().borrow_mut().messages.facts.request_sent_at = Some(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.outlet.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.outlet.size_hint()
    }
}

/// Body of a response to the client. When it is dropped, the exchange is over.
pub(crate) struct ResponseBody {
    pump: Option<Box<ResponsePump>>,
    outlet: Outlet,
    exchange: Option<Box<Exchange>>,
}

impl ResponseBody {
    /// The body that comes out of a pump whose head has gone.
    pub fn new(pump: ResponsePump, length: Length, exchange: Exchange) -> Self {
        let ended = length == Length::None;
        Self {
            pump: (!ended).then(|| Box::new(pump)),
            outlet: Outlet::new(length),
            exchange: Some(Box::new(exchange)),
        }
    }

    /// No body, and an exchange that somebody else ends.
    pub fn none() -> Self {
        Self {
            pump: None,
            outlet: Outlet::new(Length::None),
            exchange: None,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(pump) = this.pump.as_mut().filter(|_| !this.outlet.ended) else {
            return Poll::Ready(None);
        };
        let frame = ready!(this.outlet.poll_frame(pump, Direction::Response, cx));
        {
            let facts = &mut pump.state().borrow_mut().messages.facts;
            facts.moved_at = Instant::now();
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                facts.response_body += data.len() as u64;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.outlet.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.outlet.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            // Having given all bytes that it announced, hyper may not ask for the end.
            if self.outlet.ended || self.outlet.length == Length::Exact(0) {
                exchange.completed();
            }
            // The pump goes first: it holds on to the upstream's connection, and filters should find it let go.
            self.pump = None;
            drop(exchange);
        }
    }
}

/// The length, as hyper knows it, of a body that comes piece by piece.
struct Outlet {
    length: Length,
    /// Pieces that have come together out of a filter that held them.
    pending: Pieces,
    /// Nothing comes after them.
    last: bool,
    ended: bool,
}

impl Outlet {
    fn new(length: Length) -> Self {
        let ended = length == Length::None;
        Self {
            length,
            pending: Pieces::default(),
            last: ended,
            ended,
        }
    }

    fn poll_frame<S: Source>(
        &mut self,
        pump: &mut Pump<S, ChainCalls, ProxyMessages>,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.pending.is_empty() && !self.last {
            match ready!(pump.poll_item(cx)) {
                Ok(Item::Data(pieces, end_of_stream)) => {
                    self.pending = pieces;
                    self.last = end_of_stream;
                }
                Ok(Item::Trailers) => {
                    self.last = true;
                    self.ended = true;
                    let trailers = pump.state().borrow_mut().messages.trailers(direction).clone();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Ok(Item::End | Item::Head { .. }) => self.last = true,
                Err(abort) => return Poll::Ready(Some(Err(failure(pump, direction, abort)))),
            }
        }
        let piece = self.pending.pop();
        self.ended = self.last && self.pending.is_empty();
        if let (Some(piece), Length::Exact(left)) = (&piece, &mut self.length) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Length::None => SizeHint::with_exact(0),
            Length::Exact(bytes) => SizeHint::with_exact(bytes),
            Length::Open => SizeHint::default(),
        }
    }
}

fn failure<S: Source>(
    pump: &Pump<S, ChainCalls, ProxyMessages>,
    direction: Direction,
    abort: Abort,
) -> BodyError {
    let mut state = pump.state().borrow_mut();
    match abort {
        Abort::Source(SourceError(error)) => {
            state.source_failed(direction);
            error
        }
        Abort::Stopped => Box::new(Aborted(state.reset.unwrap_or("stopped"))),
    }
}

/// The source of a response.
pub(crate) enum ResponseSource {
    /// An upstream.
    Upstream(IncomingSource<UpstreamBody>),
    /// The proxy itself.
    Local(LocalSource),
}

impl ResponseSource {
    /// A response of an upstream.
    pub fn upstream(body: UpstreamBody, state: SharedState) -> Self {
        Self::Upstream(IncomingSource::new(body, state, Direction::Response, false))
    }
}

impl Source for ResponseSource {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>> {
        match self {
            Self::Upstream(source) => source.poll_item(cx),
            Self::Local(source) => source.poll_item(cx),
        }
    }

    fn announced_length(&self) -> Option<u64> {
        match self {
            Self::Upstream(source) => source.announced_length(),
            Self::Local(source) => source.announced_length(),
        }
    }
}

/// Body of an upstream's response.
pub(crate) enum UpstreamBody {
    /// From the network.
    Incoming(Incoming),
    /// From the built-in echo.
    // Boxed, since requests to real upstreams should not carry its size around.
    Echo(Box<EchoBody>),
    /// Written in the configuration.
    Fixed(Bytes),
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Echo(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::Fixed(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Echo(body) => body.is_end_stream(),
            Self::Fixed(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
            Self::Echo(body) => body.size_hint(),
            Self::Fixed(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
