//! From a configuration to a snapshot: modules compiled, VMs described, each tried once.

mod modules;
mod routes;
mod trial;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_abi::LogLevel;
use weir_config::{FilterConfig, ProxyConfig};
use weir_engine::Engine;
use weir_host::Shared;

use crate::snapshot::Snapshot;
use crate::upstreams::{UpstreamError, Upstreams};
use modules::Modules;
use trial::{Group, Outcome};

/// The runtimes that configurations may name.
#[derive(Clone)]
pub struct Engines(HashMap<&'static str, Arc<dyn Engine>>);

impl Engines {
    /// These runtimes, each under its own name.
    pub fn new(engines: impl IntoIterator<Item = Arc<dyn Engine>>) -> Self {
        Self(
            engines
                .into_iter()
                .map(|engine| (engine.name(), engine))
                .collect(),
        )
    }

    fn names(&self) -> String {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names.join(", ")
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engines").field(&self.names()).finish()
    }
}

/// A filter that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The filter's name.
    pub filter: String,
    /// The module's file.
    pub module: PathBuf,
    /// Why, in words that name the module's file where the reason does not.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: filter {}: {}",
            self.module.display(),
            self.filter,
            self.reason
        )
    }
}

/// A configuration that cannot be served at all, as far as filters and upstreams go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A runtime that this build does not have.
    #[error("{place}the runtime {written} is not built in; there are: {available}")]
    Runtime {
        /// Where it stands, with `: `; or empty.
        place: String,
        /// As it was written.
        written: String,
        /// What there is.
        available: String,
    },
    /// An upstream's certificates.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// What came of a configuration.
pub(crate) struct Built {
    /// Ready to serve, without the filters that were refused.
    pub snapshot: Snapshot,
    /// Filters that were refused.
    pub refused: Vec<Refusal>,
}

/// Makes snapshots, and remembers modules from one to the next.
pub(crate) struct Builder {
    shared: Shared,
    modules: Modules,
}

impl Builder {
    /// A builder for these runtimes; VMs share `shared`.
    pub fn new(engines: Engines, shared: Shared) -> Self {
        Self {
            shared,
            modules: Modules::new(engines),
        }
    }

    /// Builds a snapshot. Blocks: compiles, reads files, starts throw-away VMs.
    pub fn build(&mut self, config: &ProxyConfig) -> Result<Built, BuildError> {
        let used = config
            .routes
            .iter()
            .flat_map(|route| route.filters.iter().map(|filter| &filter.filter));
        // Filters that no route names are tried as well: a mistake in them should not wait for the day they are used.
        let is_named = |name: &str| {
            config
                .routes
                .iter()
                .any(|route| route.filters.iter().any(|used| used.name == name))
        };
        let spare = config
            .filters
            .iter()
            .filter(|(name, _)| !is_named(name))
            .map(|(_, filter)| filter);
        let mut groups = trial::group(used);
        let serving = groups.len();
        groups.extend(trial::group(spare));
        let mut upstreams = Upstreams::default();
        let outcomes = self.try_groups(&groups, config.log_level, &mut upstreams)?;
        let mut vms = Vec::new();
        let mut refused = Vec::new();
        let mut places: Vec<(Arc<FilterConfig>, usize, usize)> = Vec::new();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            refused.extend(outcome.refused);
            if let Some((plan, accepted)) = outcome.accepted
                && index < serving
            {
                let vm = vms.len();
                places.extend(
                    accepted
                        .into_iter()
                        .enumerate()
                        .map(|(plugin, filter)| (filter, vm, plugin)),
                );
                vms.push(Arc::new(plan));
            }
        }
        let mut route_upstreams = Vec::new();
        let mut plans = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let target = routes::target(&route.target, &mut upstreams, &mut route_upstreams)?;
            plans.push(routes::plan(route, target, &places));
        }
        let snapshot = Snapshot {
            routes: plans,
            vms,
            upstreams: route_upstreams,
            limits: config.limits,
            timeouts: config.timeouts,
        };
        Ok(Built { snapshot, refused })
    }

    /// Tries filters that belong to no proxy configuration.
    pub fn try_filters(&mut self, filters: &[Arc<FilterConfig>]) -> Result<Vec<Refusal>, BuildError> {
        let groups = trial::group(filters.iter());
        let outcomes = self.try_groups(&groups, LogLevel::Info, &mut Upstreams::default())?;
        Ok(outcomes.into_iter().flat_map(|outcome| outcome.refused).collect())
    }

    /// Tries each VM, as many at a time as there are cores.
    fn try_groups(
        &mut self,
        groups: &[Group],
        log_level: LogLevel,
        upstreams: &mut Upstreams,
    ) -> Result<Vec<Outcome>, BuildError> {
        self.modules.begin();
        let mut ready = Vec::with_capacity(groups.len());
        for group in groups {
            self.modules.check_runtime(&group.config)?;
            let mut own = HashMap::new();
            for (name, upstream) in &group.upstreams {
                own.insert(name.clone(), upstreams.ready(upstream)?);
            }
            ready.push((group, own));
        }
        let outcomes = in_parallel(&ready, |(group, upstreams)| {
            trial::run(group, upstreams, log_level, &self.modules, &self.shared)
        });
        self.modules.end();
        Ok(outcomes)
    }
}

/// Does a piece of work for each item, as many at a time as there are cores; results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let turns = || {
            let turn = || {
                let index = next.fetch_add(1, Ordering::Relaxed);
                items.get(index).map(|item| (index, work(item)))
            };
            std::iter::from_fn(turn).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(turns)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::in_parallel;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(
            in_parallel(&items, |item| item * 2),
            (0..200).step_by(2).collect::<Vec<_>>()
        );
        assert!(in_parallel(&[], |item: &usize| *item).is_empty());
    }
}
