//! Sending a request to a real upstream, and what to make of it if that fails.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use weir_chain::{Direction, Length, local_reply};
use weir_http_rules::flags;
use weir_outbound::{ConnectionInfo, RequestTrailers, SendError, TrailerPath, TrailingBody};

use super::wait::Waited;
use super::{ClientUpgrade, Exchange, Outgoing};
use crate::bodies::{Aborted, RequestBody, UpstreamBody};
use crate::revision::RoutePlan;
use crate::stream::facts::UpstreamFacts;

/// A request as pools take it.
fn for_pool(request: Request<RequestBody>, length: Length) -> Request<TrailingBody<RequestBody>> {
    if length != Length::Open {
        // Room for trailers there is only in HTTP/2, where they need no preparation.
        return request.map(|body| TrailingBody::with_path(body, TrailerPath::Native));
    }
    let trailers = RequestTrailers::new();
    let mut request = request.map(|body| TrailingBody::with_slot(body, trailers.clone()));
    request.extensions_mut().insert(trailers);
    request
}

impl Exchange {
    /// Sends the request to an upstream and passes on what comes back.
    pub(super) async fn send(
        mut self,
        route: &RoutePlan,
        upstream: usize,
        length: Length,
        body: RequestBody,
        client_upgrade: ClientUpgrade,
    ) -> Result<Outgoing, Aborted> {
        let revision = Rc::clone(&self.revision);
        let authority = revision.plan.upstreams[upstream].config().authority.as_deref();
        let protocol = client_upgrade.as_ref().map(|(_, protocol)| protocol);
        let idempotent = self.state.borrow().messages.request.method.is_idempotent();
        let pool = &revision.pools[upstream];
        // Over HTTP/1.1 a request that has been written may have been processed; over HTTP/2 the upstream says that it has not.
        let repeatable = (length == Length::None && idempotent) || pool.may_speak_http2();
        let upload = body.upload(repeatable);
        let request = for_pool(self.request(route, authority, protocol, body, repeatable), length);
        let began = Instant::now();
        let sending = async {
            match pool.send(request).await {
                // The upstream closed a kept connection just when the request went out on it: no fault of the client's.
                Err(error) if repeatable && error.deserves_another_try(idempotent) => {
                    let Some(body) = upload.again() else {
                        return Err(error);
                    };
                    let again = self.request(route, authority, protocol, body, false);
                    pool.send_anew(for_pool(again, length)).await
                }
                sent => sent,
            }
        };
        let (mut response, info) = match self.unless_stopped(sending, Some(route.timeout)).await {
            Waited::Done(Ok(answer)) => answer,
            Waited::Done(Err(error)) => return self.upstream_failed(&error).await,
            Waited::Stopped => return self.stopped().await,
            Waited::TimedOut => {
                pool.upstream().meter().errors.increment();
                let mut state = self.state.borrow_mut();
                state.messages.facts.flags |= flags::UPSTREAM_TIMEOUT;
                let reply =
                    local_reply::plain(504, "upstream_response_timeout", "upstream request timeout\n");
                state.reply_with(reply);
                drop(state);
                return self.stopped().await;
            }
        };
        self.note_upstream(info, began.elapsed());
        if let Some(phrase) = response.extensions_mut().remove::<ReasonPhrase>() {
            let reason = Some((response.status(), phrase));
            self.state.borrow_mut().messages.facts.reason = reason;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upstream_upgrade = hyper::upgrade::on(&mut response);
            return match client_upgrade {
                Some((client, _)) => self.switch_protocols(response, client, upstream_upgrade).await,
                None => self.refuse_upstream("upstream_switched_protocols_unasked").await,
            };
        }
        let trailers = revision.plan.upstreams[upstream].config().trailers;
        let passes = trailers.passes(response.version() == Version::HTTP_2);
        self.respond(response.map(|body| UpstreamBody::Incoming(body, passes)), None)
            .await
    }

    pub(super) async fn upstream_failed(self, error: &SendError) -> Result<Outgoing, Aborted> {
        {
            let mut state = self.state.borrow_mut();
            if state.stopped(Direction::Request) {
                drop(state);
                return self.stopped().await;
            }
            tracing::debug!(cluster = %state.messages.facts.cluster, %error, "upstream failed");
            state.messages.facts.upstream_failure = Some(error.to_string());
            let (status, details, raised) = match error {
                SendError::RequestBody { .. } => {
                    state.source_failed(Direction::Request);
                    drop(state);
                    return self.stopped().await;
                }
                SendError::Timeout { .. } => (504, "upstream_response_timeout", flags::UPSTREAM_TIMEOUT),
                SendError::Overflow { .. } => (503, "upstream_overflow", flags::UPSTREAM_OVERFLOW),
                SendError::Reset { .. } => (
                    502,
                    "upstream_reset_before_response_started",
                    flags::UPSTREAM_REMOTE_RESET,
                ),
                SendError::Protocol { .. } | SendError::TransferCoding => {
                    (502, "upstream_protocol_error", flags::UPSTREAM_REMOTE_RESET)
                }
                SendError::InvalidRequest { .. } => (400, "request_cannot_be_sent", 0),
                _ => (
                    503,
                    "upstream_connection_failure",
                    flags::UPSTREAM_CONNECTION_FAILURE,
                ),
            };
            state.messages.facts.flags |= raised;
            let text = format!("upstream error: {}\n", error.reason());
            state.reply_with(local_reply::plain(status, details, &text));
        }
        self.stopped().await
    }

    pub(super) async fn refuse_upstream(self, details: &'static str) -> Result<Outgoing, Aborted> {
        self.state
            .borrow_mut()
            .reply_with(local_reply::plain(502, details, "Bad Gateway\n"));
        self.stopped().await
    }

    pub(super) async fn switch_protocols(
        self,
        response: Response<Incoming>,
        client: OnUpgrade,
        upstream: OnUpgrade,
    ) -> Result<Outgoing, Aborted> {
        let protocol = response.headers().get(header::UPGRADE).cloned();
        self.state.borrow_mut().messages.facts.switched_to = protocol;
        // What follows a 101 is no body and has no trailers.
        self.respond(
            response.map(|body| UpstreamBody::Incoming(body, false)),
            Some((client, upstream)),
        )
        .await
    }

    pub(super) fn note_upstream(&mut self, info: ConnectionInfo, latency: Duration) {
        self.lease = Some(info.lease);
        let facts = &mut self.state.borrow_mut().messages.facts;
        facts.backend_latency = Some(latency);
        facts.upstream = Some(UpstreamFacts {
            connection: (*info.connection).clone(),
            time_to_connection: info.time_to_connection,
            attempts: info.attempts,
        });
        facts.moved_at = Instant::now();
    }
}
