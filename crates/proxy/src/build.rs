//! From a configuration to a revision: VMs planned and tried, routes put together.

use std::sync::Arc;

use weir_config::{FilterConfig, ProcessConfig, ProxyConfig};
use weir_host::Shared;
use weir_plan::{PlanError, Planner, Refusal, Runtimes, VmPlan};

use crate::revision::Revision;
use crate::routes;

/// The outcome of building a configuration.
pub(crate) struct Built {
    /// Ready to serve, without the filters that were refused.
    pub revision: Revision,
    /// The VMs that each worker is to have.
    pub vms: Vec<Arc<VmPlan>>,
    /// Filters that were refused.
    pub refused: Vec<Refusal>,
}

/// Makes revisions, and remembers modules from one to the next.
pub(crate) struct Builder(Planner);

impl Builder {
    /// A builder for these runtimes; VMs share `shared`.
    pub fn new(runtimes: Runtimes, shared: Shared) -> Self {
        Self(Planner::new(runtimes, shared))
    }

    /// Builds a revision. Blocks: compiles, reads files, starts throw-away VMs.
    pub fn build(&mut self, config: &ProxyConfig) -> Result<Built, PlanError> {
        let used: Vec<Arc<FilterConfig>> = config
            .routes
            .iter()
            .flat_map(|route| route.filters.iter().map(|filter| Arc::clone(&filter.filter)))
            .collect();
        // Filters that no route names are tried as well: a mistake in them should not wait for the day they are used.
        let is_named = |name: &str| {
            config
                .routes
                .iter()
                .any(|route| route.filters.iter().any(|used| used.name == name))
        };
        let spare: Vec<Arc<FilterConfig>> = config
            .filters
            .iter()
            .filter(|(name, _)| !is_named(name))
            .map(|(_, filter)| Arc::clone(filter))
            .collect();
        let log_level = config.process.log_level.unwrap_or(ProcessConfig::LOG_LEVEL);
        let mut planned = self.0.plan(&used, &spare, log_level)?;
        let mut upstreams = Vec::new();
        let mut plans = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let target = routes::target(&route.target, &mut planned.upstreams, &mut upstreams)?;
            plans.push(routes::plan(route, target, &planned));
        }
        let deadlines = used.iter().map(|filter| filter.stream_deadline);
        let revision = Revision {
            stream_deadline: deadlines.min(),
            routes: plans,
            upstreams,
            limits: config.limits,
            timeouts: config.timeouts,
        };
        Ok(Built {
            revision,
            vms: planned.vms,
            refused: planned.refused,
        })
    }

    /// Tries filters that belong to no proxy configuration.
    pub fn try_filters(&mut self, filters: &[Arc<FilterConfig>]) -> Result<Vec<Refusal>, PlanError> {
        self.0.try_filters(filters)
    }
}
