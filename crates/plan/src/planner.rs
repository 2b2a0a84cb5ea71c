//! Planning: filters are put together in VMs, and each VM is tried.

use std::collections::HashMap;
use std::sync::Arc;

use weir_abi::LogLevel;
use weir_config::FilterConfig;
use weir_host::Shared;
use weir_outbound::Upstreams;

use crate::error::{PlanError, Refusal};
use crate::known::KnownPlans;
use crate::modules::Modules;
use crate::parallel::in_parallel;
use crate::runtimes::Runtimes;
use crate::sources::{LocalSources, Sources};
use crate::trial::{self, Group, Outcome};
use crate::vm::VmPlan;

/// Plans VMs, and remembers modules from one plan to the next.
pub struct Planner {
    shared: Shared,
    modules: Modules,
    /// Plans of earlier configurations, while their VMs exist.
    known: KnownPlans,
}

/// The result of planning.
#[derive(Default)]
pub struct Planned {
    /// The VMs of the filters that serve, without those that were refused.
    pub vms: Vec<Arc<VmPlan>>,
    /// The index of each accepted filter's VM among `vms`, and of its plugin in that VM's plan.
    accepted: HashMap<Arc<FilterConfig>, (usize, usize)>,
    /// Filters that were refused.
    pub refused: Vec<Refusal>,
    /// The upstreams that guests may call. A proxy that sends requests to upstreams makes its own ready here too, so that
    /// equal ones share what can be shared.
    pub upstreams: Upstreams,
}

impl Planned {
    /// Returns the index of a filter's VM among [`Planned::vms`], and of its plugin in that VM's plan; `None` where the filter
    /// was refused.
    pub fn position(&self, filter: &FilterConfig) -> Option<(usize, usize)> {
        self.accepted.get(filter).copied()
    }
}

impl Planner {
    /// A planner for these runtimes and modules in files; VMs share `shared`.
    pub fn new(runtimes: Runtimes, shared: Shared) -> Self {
        Self::with_sources(runtimes, shared, LocalSources)
    }

    /// As [`Planner::new`], with modules from `sources`.
    pub fn with_sources(runtimes: Runtimes, shared: Shared, sources: impl Sources + 'static) -> Self {
        let meters = shared.meters().clone();
        Self {
            shared,
            modules: Modules::new(runtimes, sources, meters),
            known: KnownPlans::default(),
        }
    }

    /// Returns the names of the runtimes.
    pub fn runtimes(&self) -> Vec<&'static str> {
        self.modules.runtimes()
    }

    /// Plans the VMs of the filters that serve, and tries each VM. Filters of `spare` are only tried. `log_level`
    /// is the level of filters that name none. A plan that equals an earlier one whose VMs still exist is that one: it is
    /// not tried again.
    ///
    /// Blocks: fetches modules, compiles, starts guests. Modules that no filter uses are forgotten.
    ///
    /// # Errors
    ///
    /// A runtime or an upstream is not usable. A filter that is refused is no error: it is in [`Planned::refused`].
    pub fn plan(
        &mut self,
        serving: &[Arc<FilterConfig>],
        spare: &[Arc<FilterConfig>],
        log_level: LogLevel,
    ) -> Result<Planned, PlanError> {
        let runtimes = self.modules.runtimes();
        for filter in serving.iter().chain(spare) {
            filter.check_runtime(&runtimes)?;
        }
        let mut groups = trial::group(serving.iter());
        let count = groups.len();
        groups.extend(trial::group(spare.iter()));
        let mut planned = Planned {
            upstreams: Upstreams::new(self.shared.meters().clone()),
            ..Planned::default()
        };
        let outcomes = self.try_groups(&groups, log_level, &mut planned.upstreams)?;
        for (index, outcome) in outcomes.into_iter().enumerate() {
            planned.refused.extend(outcome.refused);
            if let Some((plan, accepted)) = outcome.accepted
                && index < count
            {
                let vm = planned.vms.len();
                for (plugin, filter) in accepted.into_iter().enumerate() {
                    planned.accepted.entry(filter).or_insert((vm, plugin));
                }
                planned.vms.push(plan);
            }
        }
        self.known.remember(&planned.vms);
        Ok(planned)
    }

    /// Checks what [`Planner::plan`] fails for as a whole: the filter's runtime and its upstreams. A proxy that serves what is
    /// right calls it for each filter when a plan has failed. Blocks on the files of upstreams.
    ///
    /// # Errors
    ///
    /// As [`Planner::plan`].
    pub fn check(&self, filter: &FilterConfig) -> Result<(), PlanError> {
        filter.check_runtime(&self.modules.runtimes())?;
        let mut upstreams = Upstreams::default();
        for upstream in filter.upstreams.values() {
            upstreams.load(upstream)?;
        }
        Ok(())
    }

    /// Tries filters that nothing serves, and returns the filters that were refused. `weir check` calls
    /// it for a filter document. Blocks as [`Planner::plan`] does.
    ///
    /// # Errors
    ///
    /// As [`Planner::plan`].
    pub fn try_filters(&mut self, filters: &[Arc<FilterConfig>]) -> Result<Vec<Refusal>, PlanError> {
        Ok(self.plan(&[], filters, LogLevel::Info)?.refused)
    }

    /// Tries each VM, as many at a time as there are cores.
    fn try_groups(
        &mut self,
        groups: &[Group],
        log_level: LogLevel,
        upstreams: &mut Upstreams,
    ) -> Result<Vec<Outcome>, PlanError> {
        self.modules.begin();
        let mut ready = Vec::with_capacity(groups.len());
        for group in groups {
            let mut own = HashMap::new();
            for (name, upstream) in &group.upstreams {
                own.insert(name.clone(), upstreams.load(upstream)?);
            }
            ready.push((group, own));
        }
        let outcomes = in_parallel(&ready, |(group, upstreams)| {
            trial::run(
                group,
                upstreams,
                log_level,
                &self.modules,
                &self.known,
                &self.shared,
            )
        });
        self.modules.end();
        Ok(outcomes)
    }
}
