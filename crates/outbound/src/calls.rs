//! HTTP calls of guests.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use weir_abi::{CallFailure, HttpCall, HttpCallResponse, Status, limits};
use weir_account::{Account, CallTicket, Charge, Full, line_cost};
use weir_http_rules::fields::strip_hop_by_hop;

use crate::call_request;
use crate::error::SendError;
use crate::pool::UpstreamPool;
use crate::trailers::{RequestTrailers, TrailingBody};
use crate::upstream::LoadedUpstream;

/// Bounds on calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallLimits {
    /// The longest that a call may take, from its beginning to the end of the response body. Also the bound of a
    /// call whose guest names none.
    pub timeout: Duration,
    /// Most bytes of a response body. A longer one is a failure: half of it would be taken for the whole.
    pub response_body: usize,
}

/// One minute, 16 MiB.
impl Default for CallLimits {
    fn default() -> Self {
        Self {
            timeout: limits::CALL_TIMEOUT,
            response_body: limits::MAX_HTTP_CALL_BODY,
        }
    }
}

/// The reason of a call whose answer found no room in its guest's account.
pub const NO_ROOM: &str = "no room for the response";

/// Makes the calls of the guests on one worker. Cheap to clone.
///
/// Lives where pools live: see [`UpstreamPool`].
#[derive(Clone)]
pub struct HttpCaller {
    shared: Rc<Shared>,
}

struct Shared {
    named: HashMap<String, Rc<UpstreamPool<CallBody>>>,
    limits: CallLimits,
    /// Names that were called and are no upstreams, as far as they have been logged.
    unknown: RefCell<HashSet<String>>,
}

/// So many unknown names are logged.
const MAX_UNKNOWN: usize = 16;

impl HttpCaller {
    /// A caller that reaches these upstreams, by the names that its guest uses, and no others.
    pub fn new(
        upstreams: impl IntoIterator<Item = (String, Arc<LoadedUpstream>)>,
        limits: CallLimits,
    ) -> Self {
        let named = |(name, upstream)| (name, Rc::new(UpstreamPool::new(upstream)));
        let named = upstreams.into_iter().map(named).collect();
        Self {
            shared: Rc::new(Shared {
                named,
                limits,
                unknown: RefCell::default(),
            }),
        }
    }

    /// Checks a call without beginning it, so that the hostcall can answer at once.
    ///
    /// # Errors
    ///
    /// Status `BadArgument`: the upstream is unknown, a pseudo-header is missing, or a name or value cannot be sent.
    pub fn prepare(&self, call: HttpCall, ticket: CallTicket) -> Result<PreparedCall, CallFailure> {
        let name = String::from_utf8_lossy(&call.upstream).into_owned();
        self.read_call(call, ticket).inspect_err(|failure| {
            tracing::debug!(upstream = %name, "HTTP call cannot be made: {}", failure.reason);
        })
    }

    fn read_call(&self, call: HttpCall, ticket: CallTicket) -> Result<PreparedCall, CallFailure> {
        let upstream = self.upstream(&call.upstream)?;
        let head = call_request::head(&call.headers)?;
        let trailers = call_request::trailers(&call.trailers)?;
        let body = Whole {
            data: Some(Bytes::from(call.body)).filter(|data| !data.is_empty()),
            trailers,
            ticket,
        };
        let limits = &self.shared.limits;
        let timeout = call
            .timeout
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(limits.timeout);
        Ok(PreparedCall {
            upstream,
            head,
            body,
            timeout: timeout.min(limits.timeout),
            response_body: limits.response_body,
        })
    }

    /// [`HttpCaller::prepare`] and [`PreparedCall::run`] in one.
    pub fn call(
        &self,
        call: HttpCall,
        ticket: CallTicket,
    ) -> impl Future<Output = Result<Answer, CallFailure>> + 'static {
        let prepared = self.prepare(call, ticket);
        async move { prepared?.run().await }
    }

    fn upstream(&self, name: &[u8]) -> Result<Rc<UpstreamPool<CallBody>>, CallFailure> {
        let known = std::str::from_utf8(name)
            .ok()
            .and_then(|name| self.shared.named.get(name));
        known.cloned().ok_or_else(|| {
            let name = name.escape_ascii().to_string();
            self.warn_unknown(&name);
            CallFailure {
                status: Status::BadArgument,
                reason: format!("unknown upstream `{name}`"),
            }
        })
    }

    /// Says once that a filter calls an upstream that it does not have.
    fn warn_unknown(&self, name: &str) {
        let mut unknown = self.shared.unknown.borrow_mut();
        if unknown.len() < MAX_UNKNOWN && unknown.insert(name.to_owned()) {
            let known: Vec<&str> = self.shared.named.keys().map(String::as_str).collect();
            tracing::warn!(
                "a filter calls the upstream `{name}`, which `upstreams` and `direct_upstreams` do not name (they have: {}); \
                 the call is refused with BadArgument",
                known.join(", ")
            );
        }
    }
}

/// The answer to a call, and what the guest's account is charged for it until both are dropped.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: HttpCallResponse,
    /// The charge.
    pub charge: Charge,
}

/// A call that can be made. Its ticket is kept by all that is left of the request: a connection may have the body for some
/// time after the call was given up.
pub struct PreparedCall {
    upstream: Rc<UpstreamPool<CallBody>>,
    head: Request<()>,
    body: Whole,
    timeout: Duration,
    response_body: usize,
}

impl PreparedCall {
    /// Makes the call and waits for its end. Dropping the future gives it up.
    pub async fn run(self) -> Result<Answer, CallFailure> {
        let exchange = async {
            let sent = match self.upstream.send(self.request()).await {
                // A request lost with a connection that the upstream had closed is not the guest's concern.
                Err(error) if error.deserves_another_try(self.head.method().is_idempotent()) => {
                    self.upstream.send_anew(self.request()).await
                }
                sent => sent,
            };
            let (response, _info) = sent?;
            read(response, self.response_body, self.body.ticket.account()).await
        };
        let outcome = tokio::time::timeout(self.timeout, exchange).await;
        let outcome = outcome.unwrap_or_else(|_| {
            self.upstream.upstream().meter().errors.increment();
            Err(Broken::Timeout)
        });
        outcome.map_err(|broken| {
            tracing::debug!(upstream = %self.upstream.upstream().config.name, error = %broken, "HTTP call failed");
            broken.failure()
        })
    }
}

impl PreparedCall {
    fn request(&self) -> Request<CallBody> {
        let slot = RequestTrailers::new();
        let mut request = self
            .head
            .clone()
            .map(|()| TrailingBody::with_slot(self.body.clone(), slot.clone()));
        if self.body.trailers.is_some() {
            request.extensions_mut().insert(slot);
        }
        request
    }
}

async fn read(response: Response<Incoming>, limit: usize, account: &Arc<Account>) -> Result<Answer, Broken> {
    let (mut head, mut incoming) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    let mut charge = account.charge(cost(&head.headers))?;
    let mut headers = vec![(b":status".to_vec(), head.status.as_str().as_bytes().to_vec())];
    headers.extend(lines(&head.headers));
    let mut answer = HttpCallResponse {
        headers,
        ..HttpCallResponse::default()
    };
    if incoming.size_hint().lower() > limit as u64 {
        return Err(Broken::TooLarge { limit });
    }
    let announced = incoming.size_hint().exact();
    let most = announced.map_or(limit, |length| {
        usize::try_from(length).unwrap_or(limit).min(limit)
    });
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| SendError::from_hyper(error, true, false))?;
        match frame.into_data() {
            Ok(data) if answer.body.len() + data.len() > limit => return Err(Broken::TooLarge { limit }),
            Ok(data) => append(&mut answer.body, &data, most, &mut charge)?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    charge.grow(cost(&trailers))?;
                    answer.trailers.extend(lines(&trailers));
                }
            }
        }
    }
    Ok(Answer {
        response: answer,
        charge,
    })
}

/// Appends to a body that will have `most` bytes at most, and charges what the body takes before it takes it.
fn append(body: &mut Vec<u8>, data: &[u8], most: usize, charge: &mut Charge) -> Result<(), Full> {
    let needed = body.len() + data.len();
    let capacity = body.capacity();
    if needed > capacity {
        let grown = needed.max(capacity.saturating_mul(2).min(most));
        charge.grow(grown - capacity)?;
        body.reserve_exact(grown - body.len());
    }
    body.extend_from_slice(data);
    Ok(())
}

fn cost(headers: &HeaderMap) -> usize {
    let lines = headers.iter();
    lines
        .map(|(name, value)| line_cost(name.as_str().len(), value.len()))
        .sum()
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
}

/// The failure of a call that was begun.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("no answer in time")]
    Timeout,
    #[error("the response body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    #[error(transparent)]
    NoRoom(#[from] Full),
}

impl Broken {
    fn failure(&self) -> CallFailure {
        let (status, reason) = match self {
            Self::Send(error) => (Status::BrokenConnection, error.reason()),
            Self::Timeout => (Status::BrokenConnection, "timeout"),
            Self::TooLarge { .. } => (Status::InternalFailure, "response too large"),
            Self::NoRoom(_) => (Status::InternalFailure, NO_ROOM),
        };
        CallFailure {
            status,
            reason: reason.to_owned(),
        }
    }
}

type CallBody = TrailingBody<Whole>;

/// A body that is there from the beginning, and its trailers.
#[derive(Clone)]
struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    ticket: CallTicket,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
