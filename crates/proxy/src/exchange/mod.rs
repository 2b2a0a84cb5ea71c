//! One HTTP exchange, from the request's head to the last byte of the response.

mod head;
mod reply;
mod upstream;
mod wait;

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use weir_chain::{
    Abort, Chain, Direction, Item, Length, LocalSource, Pump, ResponseHead, Source, SourceError, local_reply,
};
use weir_config::RequestTarget;
use weir_http_rules::content_type::head_may_wait;
use weir_http_rules::{fields, flags};
use weir_outbound::{RequestLease, TrailingBody};

use crate::bodies::{
    Aborted, RequestBody, RequestPump, ResponseBody, ResponsePump, ResponseSource, UpstreamBody,
    source_failed,
};
use crate::connection::Connection;
use crate::filters::ChainCalls;
use crate::ingest::{self, Ingested};
use crate::length::{poll_request_length, poll_response_length};
use crate::revision::{FilterPlan, RoutePlan, Target};
use crate::rounds::Watched;
use crate::source::IncomingSource;
use crate::stream::facts::StreamFacts;
use crate::stream::{ProxyMessages, SharedState};
use crate::worker::WorkerRevision;
use crate::{echo, filters, forward, max_forwards, upgrade};
use head::{finish_head, take_head, trailer_path};
use wait::Waited;

/// The response that hyper sends to the client.
pub(crate) type Outgoing = Response<TrailingBody<ResponseBody>>;

/// Most bytes that are read of a request that is refused, beyond the piece that reaches it.
const REST: usize = 64 << 10;

/// How often it is asked for them.
const REST_TURNS: usize = 16;

/// An exchange that is under way. When it is dropped, its filters are told, and it is logged.
pub(crate) struct Exchange {
    /// The client's connection.
    pub connection: Rc<Connection>,
    /// The revision that serves the exchange.
    pub revision: Rc<WorkerRevision>,
    /// Its filters.
    pub chain: Arc<Chain>,
    /// Its state.
    pub state: SharedState,
    /// The index of its route, where there is one.
    pub route: Option<usize>,
    /// The client's method, which decides about the body of its response, whatever filters make of the request.
    method: Method,
    /// The use of the upstream's connection.
    lease: Option<RequestLease>,
    complete: bool,
    key: usize,
}

/// Serves one request.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Outgoing, Aborted> {
    let revision = connection.worker.revision().ok_or(Aborted("not_ready"))?;
    connection.begin(request.version());
    let (mut parts, body) = request.into_parts();
    let client_upgrade = parts.extensions.remove::<OnUpgrade>();
    let method = parts.method.clone();
    let version = parts.version;
    let refused_path = parts.uri.path_and_query().cloned();
    let ingested = ingest::ingest(parts, connection.facts.tls.is_some(), &revision.plan.limits);
    let (ingested, refusal) = match ingested {
        Ok(ingested) => (ingested, None),
        Err(refusal) => (
            Ingested::refused(method.clone(), version, refused_path),
            Some(refusal),
        ),
    };
    let Ingested {
        head,
        expects_continue,
        upgrade: protocol,
    } = ingested;
    let target = RequestTarget::new(&head.authority, head.path.sent().as_str().as_bytes());
    let route = if refusal.is_none() {
        revision.plan.route(&target)
    } else {
        None
    };
    let chain = match route {
        Some(route) => filters::chain(&revision, route, &target),
        None => Chain::empty(),
    };
    let (name, cluster, endpoints) = names(&revision, route);
    let mut facts = StreamFacts::new(Arc::clone(&connection.facts), name, cluster, endpoints);
    facts.request_ended = body.is_end_stream();
    let state = chain.begin(ProxyMessages::new(head, facts), connection.worker.shared.meters());
    let key = connection.worker.streams.enter(Watched {
        state: Arc::downgrade(&state),
        connection: connection.facts.id,
        revision: Rc::clone(&revision),
        route,
        chain: Arc::clone(&chain),
    });
    let exchange = Exchange {
        connection,
        revision,
        chain,
        state,
        route,
        method,
        lease: None,
        complete: false,
        key,
    };
    if let Some(refusal) = refusal {
        exchange.state.borrow_mut().reply_with(refusal);
        let mut response = exchange.stopped().await?;
        if version != Version::HTTP_2 {
            // The bytes that follow on the connection might be read in two ways, too.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        return Ok(response);
    }
    exchange
        .run(body, expects_continue, client_upgrade.zip(protocol))
        .await
}

type ClientUpgrade = Option<(OnUpgrade, HeaderValue)>;

impl Exchange {
    async fn run(
        self,
        body: Incoming,
        expects_continue: bool,
        client_upgrade: ClientUpgrade,
    ) -> Result<Outgoing, Aborted> {
        let http2 = self.state.borrow().messages.request.version == Version::HTTP_2;
        let source = IncomingSource::new(
            body,
            self.state.clone(),
            Direction::Request,
            expects_continue,
            self.connection.trailer_rule.passes(http2),
        );
        let mut pump: RequestPump = Pump::new(
            Direction::Request,
            self.chain.request_plans(),
            source,
            self.calls(),
            self.state.clone(),
        );
        let end_of_stream = match poll_fn(|cx| pump.poll_item(cx)).await {
            Ok(Item::Head { end_of_stream }) => end_of_stream,
            Ok(_) => return Err(Aborted("no_head")),
            Err(abort) => {
                read_rest(&mut pump).await;
                drop(pump);
                return self.aborted(Direction::Request, abort).await;
            }
        };
        let length = poll_fn(|cx| poll_request_length(&mut pump, cx, end_of_stream)).await;
        // The first pieces of the body may have been shown to filters, and found wanting.
        if self.state.borrow().stopped(Direction::Request) {
            read_rest(&mut pump).await;
            drop(pump);
            return self.stopped().await;
        }
        let last_hop = max_forwards::count_hop(&mut self.state.borrow_mut().messages.request);
        if let Some(reply) = last_hop {
            self.state.borrow_mut().reply_with(reply);
            read_rest(&mut pump).await;
            drop(pump);
            return self.stopped().await;
        }
        let Some(route) = self.route_now() else {
            let mut state = self.state.borrow_mut();
            state.messages.facts.flags |= flags::NO_ROUTE;
            state.reply_with(local_reply::plain(404, "route_not_found", "Not Found\n"));
            drop(state);
            read_rest(&mut pump).await;
            drop(pump);
            return self.stopped().await;
        };
        let client_upgrade = client_upgrade.filter(|_| {
            // A filter may have taken the wish away.
            let state = self.state.borrow();
            state.messages.request.fields.contains_key(header::UPGRADE)
        });
        // A filter that sees the body may still refuse the request.
        let body_decides = pump.may_change_body();
        let body = RequestBody::new(pump, length);
        let revision = Rc::clone(&self.revision);
        let route = &revision.plan.routes[route];
        match &route.target {
            Target::Echo => {
                let request = self.request(route, None, None, body, false);
                match self.unless_stopped(echo::answer(request), None).await {
                    Waited::Done(Ok(response)) => {
                        self.respond(response.map(|body| UpstreamBody::Echo(Box::new(body))), None)
                            .await
                    }
                    Waited::Done(Err(_)) | Waited::Stopped | Waited::TimedOut => self.stopped().await,
                }
            }
            Target::Static(answer) => {
                if body_decides && self.unless_stopped(drain(body), None).await.is_stopped() {
                    return self.stopped().await;
                }
                let mut response = Response::new(UpstreamBody::Fixed(answer.body.clone()));
                *response.status_mut() = answer.status;
                *response.headers_mut() = answer.fields.clone();
                if self.method == Method::HEAD {
                    *response.body_mut() = UpstreamBody::Fixed(Bytes::new());
                }
                self.respond(response, None).await
            }
            Target::Upstream(upstream) => self.send(route, *upstream, length, body, client_upgrade).await,
        }
    }

    /// Passes an upstream's response through the filters to the client. `tunnel` is what follows a 101.
    async fn respond(
        self,
        response: Response<UpstreamBody>,
        tunnel: Option<(OnUpgrade, OnUpgrade)>,
    ) -> Result<Outgoing, Aborted> {
        let (mut parts, body) = response.into_parts();
        fields::strip_hop_by_hop(&mut parts.headers);
        {
            let mut state = self.state.borrow_mut();
            if state.messages.facts.details.is_empty() {
                state.messages.facts.details = Cow::Borrowed("via_upstream");
            }
            state.messages.response = Some(ResponseHead {
                status: parts.status,
                fields: parts.headers,
            });
        }
        let source = match &tunnel {
            None => ResponseSource::upstream(body, self.state.clone()),
            Some(_) => ResponseSource::Local(LocalSource::new(Bytes::new())),
        };
        let pump = Pump::new(
            Direction::Response,
            self.chain.response_plans(),
            source,
            self.calls(),
            self.state.clone(),
        );
        self.deliver(pump, tunnel).await
    }

    /// Waits for the response's head to come through its filters, and hands it to hyper.
    async fn deliver(
        self,
        mut pump: ResponsePump,
        tunnel: Option<(OnUpgrade, OnUpgrade)>,
    ) -> Result<Outgoing, Aborted> {
        let end_of_stream = match poll_fn(|cx| pump.poll_item(cx)).await {
            Ok(Item::Head { end_of_stream }) => end_of_stream,
            Ok(_) => return Err(Aborted("no_head")),
            Err(abort) => {
                drop(pump);
                return self.replaced(&abort);
            }
        };
        let tunnel = tunnel.filter(|_| {
            let facts = &mut *self.state.borrow_mut();
            let response = facts.messages.response.as_ref();
            let switches = response.is_some_and(|head| head.status == StatusCode::SWITCHING_PROTOCOLS);
            if !switches {
                // A filter has made an answer of it.
                facts.messages.facts.switched_to = None;
            }
            switches
        });
        let method = self.method.clone();
        let length = match &tunnel {
            None => {
                let may_wait = self.head_may_wait();
                poll_fn(|cx| poll_response_length(&mut pump, cx, end_of_stream, &method, may_wait)).await
            }
            Some(_) => Length::None,
        };
        if self.state.borrow().stopped(Direction::Response) {
            drop(pump);
            return self.replaced(&Abort::Stopped);
        }
        let (head, version) = {
            let mut state = self.state.borrow_mut();
            state.response_sent = true;
            let version = state.messages.request.version;
            let keep = !self.chain.is_empty();
            let head = state.messages.response.as_mut().ok_or(Aborted("no_head"))?;
            (take_head(head, keep), version)
        };
        let mut head = head;
        finish_head(&mut head, &self.state);
        let path = trailer_path(version, length, &self.connection);
        if let Some((client, upstream)) = tunnel {
            let head = upgrade::head(head, &self.state);
            upgrade::tunnel(self, client, upstream);
            return Ok(head.map(|()| TrailingBody::with_path(ResponseBody::none(), path)));
        }
        Ok(head.map(|()| TrailingBody::with_path(ResponseBody::new(pump, length, self), path)))
    }

    /// Returns true if the head of the response may wait until the length of its body is known. Not while the client still
    /// sends: the client may wait for the head.
    fn head_may_wait(&self) -> bool {
        let state = self.state.borrow();
        let kind = state
            .messages
            .response
            .as_ref()
            .and_then(|head| head.fields.get(header::CONTENT_TYPE));
        state.messages.facts.request_sent_at.is_some() && head_may_wait(kind.map(HeaderValue::as_bytes))
    }

    async fn aborted(self, direction: Direction, abort: Abort) -> Result<Outgoing, Aborted> {
        if let Abort::Source(SourceError(error)) = &abort {
            source_failed(&mut self.state.borrow_mut(), direction, &**error);
        }
        self.stopped().await
    }

    /// Returns true if the response has been sent to its end.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    fn request(
        &self,
        route: &RoutePlan,
        authority: Option<&str>,
        protocol: Option<&HeaderValue>,
        body: RequestBody,
        keep: bool,
    ) -> Request<RequestBody> {
        let mut state = self.state.borrow_mut();
        forward::request(
            &mut state.messages.request,
            keep || !self.chain.is_empty(),
            route,
            authority,
            protocol,
            body,
        )
    }

    /// The route to take: looked up again where a filter asked for it, or changed what routes are chosen by. A route of which a filter has not seen the request is not
    /// taken, since that filter may be its guard.
    fn route_now(&self) -> Option<usize> {
        let state = &mut *self.state.borrow_mut();
        let asked = std::mem::take(&mut state.route_cleared);
        if !std::mem::take(&mut state.target_changed) && !asked {
            return self.route;
        }
        let path = state.messages.request.path.sent().as_str().as_bytes();
        let target = RequestTarget::new(&state.messages.request.authority, path);
        let route = self.revision.plan.route(&target);
        if route == self.route || (route.is_none() && !asked) {
            // A filter that writes a path for the origin alone did not mean to leave its route.
            return self.route;
        }
        if let Some(new) = route
            && let Some(filter) = self.unseen_filter(new, &target)
        {
            self.revision.warn_unseen(self.route, new, filter);
            return self.route;
        }
        let (name, cluster, endpoints) = names(&self.revision, route);
        state.messages.facts.route = name;
        state.messages.facts.cluster = cluster;
        state.messages.facts.endpoints = endpoints;
        route
    }

    /// A filter of a route that would see the request, and has not.
    fn unseen_filter(&self, route: usize, target: &RequestTarget<'_>) -> Option<&FilterPlan> {
        let routes = &self.revision.plan.routes;
        let own = self.route.and_then(|route| routes.get(route));
        let has_seen = |filter: &FilterPlan| {
            let mut seen =
                (0..self.chain.len()).filter_map(|index| own?.filters.get(self.chain.plan(index)?));
            seen.any(|own| own.name == filter.name && own.config == filter.config)
        };
        let mut filters = routes.get(route)?.filters.iter();
        filters.find(|filter| filter.config.sees(target) && !has_seen(filter))
    }

    /// The response has been sent to its end.
    pub fn completed(&mut self) {
        self.complete = true;
    }

    fn calls(&self) -> ChainCalls {
        ChainCalls::new(Arc::clone(&self.chain), self.state.clone())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        {
            let mut state = self.state.borrow_mut();
            state.messages.facts.duration = Some(state.messages.facts.began_at.elapsed());
            if !self.complete && state.reset.is_none() {
                // hyper gave the exchange up: the client has gone.
                state.source_failed(Direction::Request);
            }
            // Whoever still sends the request has to stop.
            state.finished = true;
            state.wake_all();
            let facts = &state.messages.facts;
            if !facts.request_ended {
                facts.connection.activity.leave_unread();
            }
        }
        let meters = self.connection.worker.shared.meters();
        self.chain.finish(&self.state, meters);
        self.connection.worker.streams.leave(self.key);
        self.connection.worker.log_exchange(self);
        self.connection.end();
    }
}

/// Reads a request to its end, for the filters' sake.
async fn drain(mut body: RequestBody) {
    use http_body_util::BodyExt;
    while let Some(Ok(_)) = body.frame().await {}
}

/// Reads what is there already of a request that is refused, so that the connection can go on. Does not wait for more.
async fn read_rest(pump: &mut RequestPump) {
    let source = pump.source_mut();
    let mut read = 0;
    for _ in 0..REST_TURNS {
        if !source.is_unread() {
            return;
        }
        // hyper decodes a piece of a body in the turn after the one in which it is asked for.
        match poll_fn(|cx| Poll::Ready(source.poll_item(cx))).await {
            Poll::Ready(Ok(Item::Data(pieces, _))) => read += pieces.len(),
            Poll::Ready(Err(_)) => return,
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => tokio::task::yield_now().await,
        }
        if read > REST {
            return;
        }
    }
}

fn names(revision: &WorkerRevision, route: Option<usize>) -> (Arc<str>, Arc<str>, usize) {
    match route.and_then(|route| revision.plan.routes.get(route)) {
        Some(route) => {
            let endpoints = match route.target {
                Target::Upstream(upstream) => revision.plan.upstreams[upstream].config().endpoints.len(),
                Target::Echo | Target::Static(_) => 0,
            };
            (Arc::clone(&route.name), Arc::clone(&route.cluster), endpoints)
        }
        None => (revision.nothing(), revision.nothing(), 0),
    }
}
