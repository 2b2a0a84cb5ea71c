//! The pool of connections to an upstream, one on each worker.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use weir_config::Protocol;

use crate::connection::{Http1, RequestLease};
use crate::endpoint::{EndpointPool, Lease, Want};
use crate::error::SendError;
use crate::http_form;
use crate::info::{ConnectionInfo, Established};
use crate::trailers::{RequestTrailers, TrailerPath};
use crate::upstream::LoadedUpstream;

/// The connections of one worker to one upstream, for requests with bodies of type `B`.
///
/// Lives on a current-thread runtime inside a `LocalSet`: connections are driven by local tasks. Bodies need not be
/// `Send`, but `Unpin`. Dropping the pool closes idle connections; requests under way end as they would.
pub struct UpstreamPool<B> {
    upstream: Arc<LoadedUpstream>,
    endpoints: Vec<Rc<EndpointPool<B>>>,
    /// The endpoint whose turn it is.
    turn: Cell<usize>,
}

impl<B: 'static> UpstreamPool<B> {
    /// An empty pool.
    pub fn new(upstream: Arc<LoadedUpstream>) -> Self {
        let endpoints = (0..upstream.config.endpoints.len())
            .map(|index| Rc::new(EndpointPool::new(Arc::clone(&upstream), index)))
            .collect();
        Self {
            upstream,
            endpoints,
            turn: Cell::new(0),
        }
    }

    /// The upstream of the pool.
    pub fn upstream(&self) -> &Arc<LoadedUpstream> {
        &self.upstream
    }

    /// Returns true if a connection to the upstream may be one of HTTP/2.
    pub fn may_speak_http2(&self) -> bool {
        match self.upstream.config.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => self.upstream.tls.is_some(),
        }
    }

    /// The number of connections, being made, busy and idle together.
    pub fn connections(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.live()).sum()
    }

    /// The number of HTTP/1.1 connections that wait for a request.
    pub fn idle_connections(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.idle()).sum()
    }

    /// The endpoints in the order to try them: in turn, those that just failed last.
    fn candidates(&self) -> impl Iterator<Item = &Rc<EndpointPool<B>>> {
        let count = self.endpoints.len();
        let first = self.turn.get();
        if count > 1 {
            self.turn.set((first + 1) % count);
        }
        let in_turn = move |resting: bool| {
            (0..count)
                .map(move |step| &self.endpoints[(first + step) % count])
                .filter(move |endpoint| (count > 1 && endpoint.is_resting()) == resting)
        };
        in_turn(false).chain(in_turn(true))
    }
}

impl<B> UpstreamPool<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends a request and waits for the head of its response.
    ///
    /// The target may be a path or a whole URI; the authority is [`Upstream::authority`](weir_config::Upstream::authority),
    /// else the URI's, else the
    /// `Host` header's, else the endpoint. The request is written the way its connection wants it; hop-by-hop
    /// fields are removed for HTTP/2 and left alone for HTTP/1.1, so that a WebSocket can be asked for
    /// (`hyper::upgrade::on` works on the response). A [`RequestTrailers`] in the extensions is filled in.
    ///
    /// A connection that turns out to be closed before any byte of the request was written on it is replaced
    /// once, without the caller noticing. There is no bound in time but for connecting. Dropping the future gives
    /// the request up.
    ///
    /// # Errors
    ///
    /// No endpoint could be connected to, the request cannot be written in the connection's version of HTTP, its body
    /// failed, or the connection broke before the response's head; see [`SendError`].
    pub async fn send(&self, request: Request<B>) -> Result<(Response<Incoming>, ConnectionInfo), SendError> {
        self.send_counted(request, false).await
    }

    /// As [`UpstreamPool::send`], on a connection that no request has been on where the protocol is HTTP/1.1: for a
    /// second try after [`SendError::deserves_another_try`].
    ///
    /// # Errors
    ///
    /// As [`UpstreamPool::send`].
    pub async fn send_anew(
        &self,
        request: Request<B>,
    ) -> Result<(Response<Incoming>, ConnectionInfo), SendError> {
        self.send_counted(request, true).await
    }

    async fn send_counted(
        &self,
        request: Request<B>,
        fresh: bool,
    ) -> Result<(Response<Incoming>, ConnectionInfo), SendError> {
        self.upstream.meter.requests.increment();
        let sent = self.send_on(request, fresh).await;
        // A body that ends early is the sender's fault.
        if !matches!(sent, Ok(_) | Err(SendError::RequestBody { .. })) {
            self.upstream.meter.errors.increment();
        }
        sent
    }

    async fn send_on(
        &self,
        mut request: Request<B>,
        fresh: bool,
    ) -> Result<(Response<Incoming>, ConnectionInfo), SendError> {
        let asked = Instant::now();
        // HTTP/2 has no `Upgrade`, so where there is a choice this makes it.
        let http1 = self.upstream.config.protocol == Protocol::Auto
            && request.headers().contains_key(header::UPGRADE);
        let mut want = Want { fresh, http1 };
        let mut attempts = 0;
        loop {
            let (endpoint, lease, reused) = self.acquire(want, &mut attempts).await?;
            let time_to_connection = asked.elapsed();
            let (sent, connection, lease) = match lease {
                Lease::Http1(connection) => self.send_http1(&endpoint, connection, request).await?,
                Lease::Http2(mut sender, established, lease) => {
                    self.write_http2(&endpoint, &mut request)?;
                    (sender.try_send_request(request).await, established, lease)
                }
            };
            match sent {
                Ok(response) => {
                    let codings = response.headers().get_all(header::TRANSFER_ENCODING);
                    if codings
                        .iter()
                        .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
                    {
                        return Err(SendError::TransferCoding);
                    }
                    return Ok((
                        response,
                        ConnectionInfo {
                            connection,
                            time_to_connection,
                            reused,
                            attempts,
                            lease,
                        },
                    ));
                }
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) if reused && !want.fresh => {
                        tracing::debug!(upstream = %self.upstream.config.name, "a kept connection was closed; trying a new one");
                        request = unsent;
                        want.fresh = true;
                    }
                    unsent => {
                        return Err(SendError::from_hyper(
                            refused.into_error(),
                            unsent.is_none(),
                            reused,
                        ));
                    }
                },
            }
        }
    }

    /// A connection to any endpoint.
    async fn acquire(
        &self,
        want: Want,
        attempts: &mut u32,
    ) -> Result<(Rc<EndpointPool<B>>, Lease<B>, bool), SendError> {
        let mut failure = SendError::NoEndpoint {
            name: self.upstream.config.name.clone(),
        };
        for endpoint in self.candidates() {
            *attempts += 1;
            match endpoint.acquire(want).await {
                Ok((lease, reused)) => return Ok((Rc::clone(endpoint), lease, reused)),
                Err(error) if error.is_connect() => {
                    tracing::debug!(upstream = %self.upstream.config.name, %error, "endpoint passed over");
                    failure = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    async fn send_http1(
        &self,
        endpoint: &Rc<EndpointPool<B>>,
        mut connection: Http1<B>,
        mut request: Request<B>,
    ) -> Result<(Sent<B>, Rc<Established>, RequestLease), SendError> {
        let slot = request.extensions().get::<RequestTrailers>().cloned();
        let fallback = || endpoint.endpoint().to_string();
        let rewrite = self.upstream.authority.as_ref();
        if let Err(error) = http_form::to_http1(&mut request, rewrite, fallback, slot.is_some()) {
            endpoint.give_back(connection);
            return Err(error);
        }
        if let Some(slot) = slot {
            let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
            slot.set(if chunked {
                TrailerPath::Spliced(connection.trailers.clone())
            } else {
                TrailerPath::Dropped
            });
        }
        let established = Rc::clone(&connection.established);
        let response = connection.sender.try_send_request(request);
        let lease = connection.lease();
        connection.park();
        Ok((response.await, established, lease))
    }

    fn write_http2(&self, endpoint: &EndpointPool<B>, request: &mut Request<B>) -> Result<(), SendError> {
        let fallback = || endpoint.endpoint().to_string();
        let tls = self.upstream.tls.is_some();
        http_form::to_http2(request, self.upstream.authority.as_ref(), fallback, tls)?;
        if let Some(slot) = request.extensions().get::<RequestTrailers>() {
            slot.set(TrailerPath::Native);
        }
        Ok(())
    }
}

/// Hyper's answer to a request: a response, or an error that may have the request in it.
type Sent<B> = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<B>>>;
