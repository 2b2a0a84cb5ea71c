//! Bodies as hyper pulls them: the ends of the two pumps.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use weir_chain::{
    Abort, Direction, Item, Length, LocalSource, Pieces, Pump, Source, SourceError, local_reply,
};

use crate::echo::EchoBody;
use crate::exchange::Exchange;
use crate::filters::ChainCalls;
use crate::source::IncomingSource;
use crate::stream::{ProxyMessages, SharedState, StreamState};

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

/// Most bytes of a request that are kept until its response begins, to be sent once more where the upstream says that it has
/// not looked at the request.
const KEPT: usize = 64 << 10;

/// Body of a request to the upstream.
pub(crate) struct RequestBody {
    /// `None` where there is no body.
    upload: Option<Rc<RefCell<Upload>>>,
    /// Which try it belongs to; those before have ended.
    attempt: u32,
    /// Pieces that this try has had of those that are kept.
    had: usize,
    length: Length,
}

/// The body of a request, whichever try it is sent in.
struct Upload {
    pump: RequestPump,
    outlet: Outlet,
    attempt: u32,
    /// What has been sent, as long as it is all that has been sent.
    kept: Vec<Bytes>,
    bytes: usize,
    keeps: bool,
}

/// A request's body that may be sent once more.
pub(crate) struct Repeat {
    upload: Option<Rc<RefCell<Upload>>>,
    length: Length,
}

impl RequestBody {
    /// The body that comes out of a pump whose head has gone, or nothing.
    pub fn new(pump: RequestPump, length: Length) -> Self {
        let ended = length == Length::None;
        {
            let facts = &mut pump.state().borrow_mut().messages.facts;
            if ended {
                facts.request_sent_at = Some(Instant::now());
            } else {
                // Nobody has asked for it yet.
                facts.offered_at = Some(Instant::now());
            }
        }
        let upload = || Upload {
            pump,
            outlet: Outlet::new(length),
            attempt: 0,
            kept: Vec::new(),
            bytes: 0,
            keeps: false,
        };
        Self {
            upload: (!ended).then(|| Rc::new(RefCell::new(upload()))),
            attempt: 0,
            had: 0,
            length,
        }
    }

    /// What it takes to send the body once more. `keeps`: that may be asked for.
    pub fn upload(&self, keeps: bool) -> Repeat {
        if let Some(upload) = &self.upload {
            upload.borrow_mut().keeps = keeps;
        }
        Repeat {
            upload: self.upload.clone(),
            length: self.length,
        }
    }
}

impl Repeat {
    /// The body from its beginning; `None` where that is gone. The one before ends.
    pub fn again(&self) -> Option<RequestBody> {
        let mut attempt = 0;
        if let Some(upload) = &self.upload {
            let mut upload = upload.try_borrow_mut().ok()?;
            if !upload.keeps {
                return None;
            }
            upload.attempt += 1;
            attempt = upload.attempt;
        }
        Some(RequestBody {
            upload: self.upload.clone(),
            attempt,
            had: 0,
            length: self.length,
        })
    }
}

impl Drop for Repeat {
    /// The response has begun, or there will be none.
    fn drop(&mut self) {
        if let Some(upload) = &self.upload
            && let Ok(mut upload) = upload.try_borrow_mut()
        {
            upload.forget();
        }
    }
}

impl Upload {
    fn forget(&mut self) {
        self.keeps = false;
        self.kept = Vec::new();
    }

    /// Keeps a piece that is sent. Returns the number of those that are kept.
    fn keep(&mut self, frame: &Frame<Bytes>) -> usize {
        let Some(data) = frame.data_ref().filter(|_| self.keeps) else {
            // Trailers are not sent again.
            self.forget();
            return 0;
        };
        self.bytes += data.len();
        if self.bytes > KEPT {
            self.forget();
            return 0;
        }
        self.kept.push(data.clone());
        self.kept.len()
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
        let Some(upload) = &this.upload else {
            return Poll::Ready(None);
        };
        let upload = &mut *upload.borrow_mut();
        if upload.attempt != this.attempt {
            return Poll::Ready(Some(Err(Box::new(Aborted("sent_again")))));
        }
        let frame = if let Some(piece) = upload.kept.get(this.had) {
            this.had += 1;
            Some(Ok(Frame::data(piece.clone())))
        } else if upload.outlet.ended {
            return Poll::Ready(None);
        } else {
            let polled = upload.outlet.poll_frame(&mut upload.pump, Direction::Request, cx);
            let now = polled.is_ready().then(Instant::now);
            upload.pump.state().borrow_mut().messages.facts.offered_at = now;
            let frame = ready!(polled);
            if let Some(Ok(frame)) = &frame {
                this.had = upload.keep(frame);
            }
            frame
        };
        if upload.outlet.ended && this.had >= upload.kept.len() {
            upload.pump.state().borrow_mut().messages.facts.request_sent_at = Some(Instant::now());
        }
        if let (Some(Ok(frame)), Length::Exact(left)) = (&frame, &mut this.length)
            && let Some(data) = frame.data_ref()
        {
            *left = left.saturating_sub(data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let Some(upload) = &self.upload else { return true };
        let upload = upload.borrow();
        upload.outlet.ended && self.had >= upload.kept.len()
    }

    fn size_hint(&self) -> SizeHint {
        hint(self.length)
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
        hint(self.length)
    }
}

fn hint(length: Length) -> SizeHint {
    match length {
        Length::None => SizeHint::with_exact(0),
        Length::Exact(bytes) => SizeHint::with_exact(bytes),
        Length::Open => SizeHint::default(),
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
            source_failed(&mut state, direction, &*error);
            error
        }
        Abort::Stopped => Box::new(Aborted(state.reset.unwrap_or("stopped"))),
    }
}

/// A sender broke off, or went on in a way that is no HTTP.
pub(crate) fn source_failed(state: &mut StreamState, direction: Direction, error: &(dyn Error + 'static)) {
    let malformed = direction == Direction::Request && is_malformed(error);
    if !malformed || !state.reply_with(local_reply::phrase(400, "malformed_request_body")) {
        state.source_failed(direction);
    }
}

/// Whether a body's framing is wrong, rather than its connection gone.
fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        ) {
            return true;
        }
        cause = error.source();
    }
    false
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
        let passes_trailers = body.passes_trailers();
        Self::Upstream(IncomingSource::new(
            body,
            state,
            Direction::Response,
            false,
            passes_trailers,
        ))
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
    /// From the network; `true` where its trailers are passed on.
    Incoming(Incoming, bool),
    /// From the built-in echo.
    // Boxed, since requests to real upstreams should not carry its size around.
    Echo(Box<EchoBody>),
    /// Written in the configuration.
    Fixed(Bytes),
}

impl UpstreamBody {
    fn passes_trailers(&self) -> bool {
        match self {
            Self::Incoming(_, passes) => *passes,
            Self::Echo(_) | Self::Fixed(_) => true,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Incoming(body, _) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Echo(body) => Pin::new(body.as_mut()).poll_frame(cx),
            Self::Fixed(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body, _) => body.is_end_stream(),
            Self::Echo(body) => body.is_end_stream(),
            Self::Fixed(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body, _) => body.size_hint(),
            Self::Echo(body) => body.size_hint(),
            Self::Fixed(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
