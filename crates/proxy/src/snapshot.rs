//! A configuration made ready to serve: immutable, shared by all workers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use weir_abi::{Callback, LogLevel};
use weir_config::{FilterConfig, Limits, RouteMatch, Timeouts, VmConfig};
use weir_host::{PluginSpec, VmSpec};
use weir_outbound::Upstream;

/// What workers serve from.
pub(crate) struct Snapshot {
    /// In the order in which they are tried.
    pub routes: Vec<RoutePlan>,
    /// The VMs that each worker has.
    pub vms: Vec<Arc<VmPlan>>,
    /// Upstreams of routes.
    pub upstreams: Vec<UpstreamPlan>,
    /// Bounds of a request.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// A route.
pub(crate) struct RoutePlan {
    /// Its name.
    pub name: Arc<str>,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// Whether the matched prefix is cut off.
    pub strip_prefix: bool,
    /// Replaces the authority.
    pub host_rewrite: Option<Bytes>,
    /// The longest wait for response headers.
    pub timeout: Duration,
    /// Where requests end up.
    pub target: Target,
    /// Name of that, for logs and properties.
    pub cluster: Arc<str>,
    /// The filter chain.
    pub filters: Vec<FilterPlan>,
}

/// Where requests end up.
pub(crate) enum Target {
    /// The built-in upstream that answers with what it was sent.
    Echo,
    /// The built-in upstream with one answer.
    Static(StaticAnswer),
    /// A real one: its place in [`Snapshot::upstreams`].
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
    /// What the configuration says.
    pub config: Arc<FilterConfig>,
    /// Its VM's place in [`Snapshot::vms`], and its plugin's place there; `None` where the filter was refused.
    pub vm: Option<(usize, usize)>,
    /// Whether streams go on without it when its VM is dead.
    pub fail_open: bool,
    /// Body bytes that it may hold back.
    pub limit: usize,
}

/// An upstream of routes.
pub(crate) struct UpstreamPlan {
    /// What the configuration says; two plans with equal ones may share connections.
    pub config: Arc<weir_config::Upstream>,
    /// The same for the pools.
    pub upstream: Arc<Upstream>,
}

/// A VM that each worker has one of.
pub(crate) struct VmPlan {
    /// What it is made of.
    pub spec: Arc<VmSpec>,
    /// Its plugins.
    pub plugins: Vec<Arc<PluginSpec>>,
    /// What its guest may reach.
    pub reach: Arc<Reach>,
    /// What it was made from: equal ones are not started again at a reload.
    pub identity: Identity,
    exports: OnceLock<u64>,
}

/// What a VM was made from.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    /// The configuration of the VM.
    pub config: VmConfig,
    /// SHA-256 of the module.
    pub digest: [u8; 32],
    /// The plugins.
    pub plugins: Vec<PluginSpec>,
    /// The upstreams that calls may name.
    pub upstreams: Vec<(String, Arc<weir_config::Upstream>)>,
    /// Log levels of the plugins.
    pub log_levels: Vec<LogLevel>,
}

/// What a guest may reach, and how loudly it may talk.
pub(crate) struct Reach {
    /// Upstreams by the names that the guest uses.
    pub upstreams: HashMap<String, Arc<Upstream>>,
    /// The longest that a call may take.
    pub call_timeout: Duration,
    /// The lowest level that any plugin of the VM logs.
    pub log_level: LogLevel,
    /// The lowest level of each plugin, by name.
    pub log_levels: HashMap<String, LogLevel>,
    /// File name of the module, for the log.
    pub module: String,
}

impl VmPlan {
    /// A plan of a VM that nobody has started yet.
    pub fn new(
        spec: Arc<VmSpec>,
        plugins: Vec<Arc<PluginSpec>>,
        reach: Arc<Reach>,
        identity: Identity,
    ) -> Self {
        Self {
            spec,
            plugins,
            reach,
            identity,
            exports: OnceLock::new(),
        }
    }

    /// Notes which callbacks the VM has; known once one has been started.
    pub fn set_exports(&self, has: impl Fn(Callback) -> bool) {
        self.exports.get_or_init(|| {
            Callback::ALL
                .iter()
                .filter(|callback| has(**callback))
                .fold(0, |set, callback| set | 1 << callback.index())
        });
    }

    /// Whether the VM has a callback. Before any VM has been started nothing is called, so the answer is no.
    pub fn has(&self, callback: Callback) -> bool {
        self.exports
            .get()
            .is_some_and(|set| set >> callback.index() & 1 == 1)
    }
}

impl Snapshot {
    /// The route that takes a request: the first that matches.
    pub fn route(&self, authority: &[u8], path: &[u8]) -> Option<usize> {
        self.routes
            .iter()
            .position(|route| route.matches.matches(authority, path))
    }
}
