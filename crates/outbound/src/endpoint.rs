//! The connections of one worker to one endpoint.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::http2;
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout, timeout_at};
use weir_config::{Endpoint, Protocol};

use crate::connection::{Connected, Freed, Http1, Http2, Live, RequestLease, connect};
use crate::error::SendError;
use crate::info::{Established, WireProtocol};
use crate::upstream::LoadedUpstream;

/// The time for which an endpoint that could not be connected to is tried only after the others.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);

pub(crate) struct EndpointPool<B> {
    upstream: Arc<LoadedUpstream>,
    index: usize,
    state: RefCell<State<B>>,
    live: Cell<usize>,
    /// Told when a connection comes back or ends.
    freed: Notify,
    resting_until: Cell<Option<Instant>>,
}

struct State<B> {
    /// HTTP/1.1 connections without a request, the one used last at the end.
    idle: Vec<Idle<B>>,
    /// HTTP/2 connections; a further one is made where the server takes no more streams on the others.
    shared: Vec<Http2<B>>,
    /// The outcome of the last handshake.
    speaks: Option<WireProtocol>,
    /// The handshake under way whose connection all may share.
    connecting: Option<watch::Receiver<Option<Result<(), SendError>>>>,
    sweeping: bool,
}

struct Idle<B> {
    connection: Http1<B>,
    since: Instant,
}

/// A connection for one request.
pub(crate) enum Lease<B> {
    Http1(Http1<B>),
    Http2(http2::SendRequest<B>, Rc<Established>, RequestLease),
}

/// The demands of a request on its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want {
    /// One that no request has been on.
    pub(crate) fresh: bool,
    /// HTTP/1.1, of an upstream that leaves the choice.
    pub(crate) http1: bool,
}

impl<B: 'static> EndpointPool<B> {
    pub(crate) fn new(upstream: Arc<LoadedUpstream>, index: usize) -> Self {
        Self {
            upstream,
            index,
            state: RefCell::new(State {
                idle: Vec::new(),
                shared: Vec::new(),
                speaks: None,
                connecting: None,
                sweeping: false,
            }),
            live: Cell::new(0),
            freed: Notify::new(),
            resting_until: Cell::new(None),
        }
    }

    pub(crate) fn upstream(&self) -> &LoadedUpstream {
        &self.upstream
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.upstream.config.endpoints[self.index]
    }

    /// Returns true if the endpoint failed just now, so that others come first.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting_until
            .get()
            .is_some_and(|until| Instant::now() < until)
    }

    /// The number of connections, idle and being made included.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// The number of HTTP/1.1 connections that wait for a request.
    pub(crate) fn idle(&self) -> usize {
        self.state.borrow().idle.len()
    }

    pub(crate) fn count_up(&self) {
        self.live.set(self.live.get() + 1);
    }

    pub(crate) fn count_down(&self) {
        self.live.set(self.live.get().saturating_sub(1));
        self.freed.notify_one();
    }

    /// A connection that is there already.
    fn existing(self: &Rc<Self>, want: Want) -> Option<Lease<B>> {
        let mut state = self.state.borrow_mut();
        if !want.http1 {
            // Dropped, a connection goes on until its last stream has ended.
            state
                .shared
                .retain(|shared| !shared.sender.is_closed() && !self.is_old(shared.made));
            if let Some(shared) = state.shared.iter_mut().find(|shared| shared.has_room()) {
                return Some(self.lease(shared));
            }
        }
        if want.fresh {
            return None;
        }
        let oldest = Instant::now().checked_sub(self.upstream.config.idle_timeout);
        while let Some(Idle { connection, since }) = state.idle.pop() {
            if !connection.sender.is_closed()
                && oldest.is_none_or(|oldest| since > oldest)
                && !self.is_old(connection.made)
            {
                return Some(Lease::Http1(connection));
            }
        }
        None
    }

    fn lease(self: &Rc<Self>, shared: &mut Http2<B>) -> Lease<B> {
        shared.last_used = Instant::now();
        let endpoint = Rc::downgrade(self) as Weak<dyn Freed>;
        Lease::Http2(
            shared.sender.clone(),
            Rc::clone(&shared.established),
            RequestLease::stream(&shared.streams, endpoint),
        )
    }

    /// Whether a connection made then has had its time.
    fn is_old(&self, made: Instant) -> bool {
        self.upstream
            .config
            .max_age
            .is_some_and(|age| made.elapsed() >= age)
    }

    /// Returns true if a connection made now may turn out to be one that all can share.
    fn may_be_shared(&self, want: Want) -> bool {
        match self.upstream.config.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => {
                self.upstream.tls.is_some()
                    && !want.http1
                    && self.state.borrow().speaks != Some(WireProtocol::Http1)
            }
        }
    }
}

impl<B> EndpointPool<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Finds or makes a connection. Returns with it whether it was there before.
    pub(crate) async fn acquire(self: &Rc<Self>, want: Want) -> Result<(Lease<B>, bool), SendError> {
        let mut deadline = None;
        loop {
            if let Some(lease) = self.existing(want) {
                return Ok((lease, true));
            }
            let connecting = self.state.borrow().connecting.clone();
            if let Some(mut connecting) = connecting.filter(|_| self.may_be_shared(want)) {
                // The sender goes without a word when the request that was connecting is given up: then it is
                // this one's turn.
                if let Ok(outcome) = connecting.wait_for(Option::is_some).await
                    && let Some(Err(error)) = outcome.clone()
                {
                    return Err(error);
                }
                continue;
            }
            if self.live.get() >= self.upstream.config.max_connections {
                let deadline =
                    *deadline.get_or_insert_with(|| Instant::now() + self.upstream.config.connect_timeout);
                if want.fresh {
                    // Idle connections would keep it waiting, and are as likely dead as the one that failed.
                    self.state.borrow_mut().idle.clear();
                }
                timeout_at(deadline, self.freed.notified())
                    .await
                    .map_err(|_| SendError::Overflow {
                        endpoint: self.endpoint().to_string(),
                        limit: self.upstream.config.max_connections,
                    })?;
                continue;
            }
            return self.connect(want).await.map(|lease| (lease, false));
        }
    }

    async fn connect(self: &Rc<Self>, want: Want) -> Result<Lease<B>, SendError> {
        let announced = self.may_be_shared(want).then(|| Announced::new(self));
        let protocol = if want.http1 {
            Protocol::Http1
        } else {
            self.upstream.config.protocol
        };
        let after = self.upstream.config.connect_timeout;
        let made = timeout(after, connect(self, protocol, Live::new(self)))
            .await
            .unwrap_or_else(|_| {
                Err(SendError::ConnectTimeout {
                    endpoint: self.endpoint().to_string(),
                    after,
                })
            });
        let rest = made
            .as_ref()
            .is_err_and(SendError::is_connect)
            .then(|| Instant::now() + REST_AFTER_FAILURE);
        self.resting_until.set(rest);
        let outcome = made.as_ref().map(|_| ()).map_err(SendError::clone);
        let settings = match &made {
            Ok(Connected::Http2(connection)) => Some(Rc::clone(&connection.settings)),
            _ => None,
        };
        let lease = made.map(|connected| self.admit(connected, want));
        match (announced, settings) {
            // Others learn with the server's settings how many may share the connection.
            (Some(announced), Some(settings)) => {
                drop(tokio::task::spawn_local(async move {
                    let _ = timeout(after, settings.notified()).await;
                    announced.finish(outcome);
                }));
            }
            (Some(announced), None) => announced.finish(outcome),
            (None, _) => {}
        }
        lease
    }

    /// Takes a new connection in, and hands it to the request that made it.
    fn admit(self: &Rc<Self>, connected: Connected<B>, want: Want) -> Lease<B> {
        let mut state = self.state.borrow_mut();
        match connected {
            Connected::Http1(connection) => {
                if !want.http1 {
                    state.speaks = Some(WireProtocol::Http1);
                }
                Lease::Http1(connection)
            }
            Connected::Http2(mut connection) => {
                state.speaks = Some(WireProtocol::Http2);
                let lease = self.lease(&mut connection);
                state.shared.push(connection);
                drop(state);
                self.begin_sweeping();
                lease
            }
        }
    }
}

impl<B> Freed for EndpointPool<B> {
    fn freed(&self) {
        self.freed.notify_one();
    }
}

impl<B: 'static> EndpointPool<B> {
    /// A connection that can take another request.
    pub(crate) fn give_back(self: &Rc<Self>, connection: Http1<B>) {
        // One that has had its time is dropped, and closed by its driver.
        if !self.is_old(connection.made) {
            self.state.borrow_mut().idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
        self.freed.notify_one();
        self.begin_sweeping();
    }

    /// Sees to it that connections do not outlive their idle timeout, by a task that lives only while there are any.
    fn begin_sweeping(self: &Rc<Self>) {
        if std::mem::replace(&mut self.state.borrow_mut().sweeping, true) {
            return;
        }
        let endpoint = Rc::downgrade(self);
        drop(tokio::task::spawn_local(async move {
            while let Some(next) = endpoint.upgrade().and_then(|endpoint| endpoint.sweep()) {
                sleep_until(next).await;
            }
        }));
    }

    /// Closes what has been unused for too long. Returns when to look again, if anything is left.
    fn sweep(&self) -> Option<Instant> {
        let timeout = self.upstream.config.idle_timeout;
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state
            .idle
            .retain(|idle| !idle.connection.sender.is_closed() && now < idle.since + timeout);
        // An HTTP/2 connection ends when its last stream has: those under way are not cut.
        state
            .shared
            .retain(|shared| !shared.sender.is_closed() && now < shared.last_used + timeout);
        let idle = state.idle.first().map(|idle| idle.since);
        let shared = state.shared.iter().map(|shared| shared.last_used).min();
        let next = idle.into_iter().chain(shared).min().map(|since| since + timeout);
        state.sweeping = next.is_some();
        next
    }
}

/// A handshake that others wait for.
struct Announced<B> {
    endpoint: Rc<EndpointPool<B>>,
    outcome: watch::Sender<Option<Result<(), SendError>>>,
}

impl<B> Announced<B> {
    fn new(endpoint: &Rc<EndpointPool<B>>) -> Self {
        let (outcome, receiver) = watch::channel(None);
        endpoint.state.borrow_mut().connecting = Some(receiver);
        Self {
            endpoint: Rc::clone(endpoint),
            outcome,
        }
    }

    fn finish(self, outcome: Result<(), SendError>) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<B> Drop for Announced<B> {
    fn drop(&mut self) {
        self.endpoint.state.borrow_mut().connecting = None;
    }
}
