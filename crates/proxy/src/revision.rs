//! A configuration made ready to serve: immutable, shared by all workers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use weir_config::{FilterConfig, Limits, RequestTarget, RouteMatch, Timeouts};
use weir_outbound::LoadedUpstream;

/// The configuration that workers serve from.
pub(crate) struct Revision {
    /// In the order in which they are tried.
    pub routes: Vec<RoutePlan>,
    /// Upstreams of routes. Two revisions with equal ones share connections.
    pub upstreams: Vec<Arc<LoadedUpstream>>,
    /// Bounds of a request.
    pub limits: Limits,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The shortest stream deadline of any filter; `None` where there are no filters.
    pub stream_deadline: Option<Duration>,
}

/// A route.
pub(crate) struct RoutePlan {
    /// Its name.
    pub name: Arc<str>,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// True if the matched prefix is cut off.
    pub strip_prefix: bool,
    /// Whether the path goes upstream as conditions compare it.
    pub normalize_path: bool,
    /// Replaces the authority.
    pub host_rewrite: Option<Bytes>,
    /// The longest wait for response headers.
    pub timeout: Duration,
    /// The destination of requests.
    pub target: Target,
    /// Name of that, for logs and properties.
    pub cluster: Arc<str>,
    /// The filter chain.
    pub filters: Vec<FilterPlan>,
}

/// The destination of requests.
pub(crate) enum Target {
    /// The built-in upstream that answers with what it was sent.
    Echo,
    /// The built-in upstream with one answer.
    Static(StaticAnswer),
    /// A real one: its index in [`Revision::upstreams`].
    Upstream(usize),
}

/// An answer written in the configuration.
pub(crate) struct StaticAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A filter in a chain.
pub(crate) struct FilterPlan {
    /// Its name, for logs.
    pub name: Arc<str>,
    /// The configuration of the upstream.
    pub config: Arc<FilterConfig>,
    /// Index of its VM among those of the configuration, and of its plugin in that VM; `None` where the filter was refused.
    pub vm: Option<(usize, usize)>,
    /// Body bytes that it may hold back.
    pub limit: usize,
}

impl Revision {
    /// The route that takes a request: the first that matches.
    pub fn route(&self, target: &RequestTarget<'_>) -> Option<usize> {
        self.routes.iter().position(|route| route.matches.matches(target))
    }
}
