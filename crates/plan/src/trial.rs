//! VMs: which filters share one, what it is made of, and whether it starts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use weir_abi::{Callback, LogLevel};
use weir_config::{FilterConfig, VmConfig};
use weir_host::{Capabilities, HostModule, PluginSpec, Shared, TrialRefusal, Vm, VmSpec};
use weir_outbound::LoadedUpstream;

use crate::error::Refusal;
use crate::known::KnownPlans;
use crate::modules::Modules;
use crate::reach::Reach;
use crate::vm::{Identity, VmPlan};

/// A VM that is being put together, with the filters that want it.
pub(crate) struct Group {
    /// The configuration of the VM, equal for all of its filters.
    pub config: VmConfig,
    /// The filters, each once.
    pub filters: Vec<Arc<FilterConfig>>,
    /// The upstreams that they may call, by the names that they use.
    pub upstreams: IndexMap<String, Arc<weir_config::Upstream>>,
}

/// The result of trying a VM.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Its plan, and the filters that are its plugins, in its order; `None` where no filter was accepted.
    pub accepted: Option<(Arc<VmPlan>, Vec<Arc<FilterConfig>>)>,
    /// Filters that were refused.
    pub refused: Vec<Refusal>,
}

/// Plans a VM and tries it. Filters that are refused are left out, and the rest is tried again.
pub(crate) fn run(
    group: &Group,
    upstreams: &HashMap<String, Arc<LoadedUpstream>>,
    log_level: LogLevel,
    modules: &Modules,
    known: &KnownPlans,
    shared: &Shared,
) -> Outcome {
    let mut refused = Vec::new();
    let mut filters = group.filters.clone();
    let mut refuse = |filter: &FilterConfig, reason: String| {
        refused.push(Refusal {
            filter: filter.name.clone(),
            module: group.config.code.clone(),
            reason,
        });
    };
    let spec = match spec(&group.config, modules) {
        Ok(spec) => Arc::new(spec),
        Err(reason) => {
            filters.iter().for_each(|filter| refuse(filter, reason.clone()));
            return Outcome {
                accepted: None,
                refused,
            };
        }
    };
    let plan = |filters: &[Arc<FilterConfig>]| plan(group, filters, &spec, upstreams, log_level);
    while !filters.is_empty() {
        let candidate = plan(&filters);
        if let Some(plan) = known.find(&candidate.identity) {
            // Tried before, and its VMs still serve.
            return Outcome {
                accepted: Some((plan, filters)),
                refused,
            };
        }
        let Err(refusal) = try_out(&candidate, shared) else {
            filters.iter().for_each(|filter| warn_of_blocked(filter, &spec));
            return Outcome {
                accepted: Some((Arc::new(candidate), filters)),
                refused,
            };
        };
        let mut faults = faults(*refusal, filters.len(), |plugin| {
            try_out(&plan(std::slice::from_ref(&filters[plugin])), shared)
        });
        let mut plugin = 0..;
        filters.retain(|filter| {
            let fault = plugin.next().and_then(|plugin| faults.remove(&plugin));
            let is_right = fault.is_none();
            if let Some(fault) = fault {
                refuse(filter, fault);
            }
            is_right
        });
    }
    Outcome {
        accepted: None,
        refused,
    }
}

/// Tells the log of callbacks that the module exports and its restriction switches off: a filter without them sees less than it
/// was written to see, and what it would have refused passes.
fn warn_of_blocked(filter: &FilterConfig, spec: &VmSpec) {
    let exported = spec.module.info().callbacks.iter();
    let is_blocked = |name: &&String| {
        Callback::named(name).is_some_and(|callback| !spec.capabilities.allows_callback(callback))
    };
    let blocked: Vec<&str> = exported.filter(is_blocked).map(String::as_str).collect();
    if !blocked.is_empty() {
        tracing::warn!(
            "filter {}: `capability_restriction_config` blocks callbacks that {} exports, which are not called: {}. Add them to \
             `allowed_capabilities` unless that is meant (`weir inspect --allow-list` prints a whole list)",
            filter.name,
            spec.module.name(),
            blocked.join(", ")
        );
    }
}

/// Starts a VM of a plan, and throws it away.
fn try_out(plan: &VmPlan, shared: &Shared) -> Result<(), Box<TrialRefusal>> {
    let services = Arc::clone(&plan.reach);
    Vm::try_out(&plan.spec, &plan.plugins, shared, services)
}

/// The fault of each filter that is to be refused, by its place. `try_alone` tries the filter at a place by itself.
fn faults(
    refusal: TrialRefusal,
    count: usize,
    try_alone: impl FnOnce(usize) -> Result<(), Box<TrialRefusal>>,
) -> HashMap<usize, String> {
    let refused = refusal.refused.into_iter();
    let mut faults: HashMap<_, _> = refused
        .map(|(plugin, error)| (plugin, error.to_string()))
        .collect();
    let Some((plugin, error)) = refusal.ended else {
        return faults;
    };
    // The plugin that was being added is at fault if it ends a VM of its own too. Else each would do alone, but not together.
    let own = match plugin {
        Some(_) if count == 1 => Some(error.to_string()),
        Some(plugin) => try_alone(plugin)
            .err()
            .and_then(|refusal| refusal.into_first())
            .map(|error| error.to_string()),
        None => None,
    };
    match (plugin, own) {
        (Some(plugin), Some(own)) => drop(faults.insert(plugin, own)),
        // Perhaps because of those that are refused.
        _ if !faults.is_empty() => {}
        _ => {
            for plugin in 0..count {
                faults.entry(plugin).or_insert_with(|| error.to_string());
            }
        }
    }
    faults
}

fn spec(config: &VmConfig, modules: &Modules) -> Result<VmSpec, String> {
    let module: Arc<HostModule> = modules.compile(config)?;
    let capabilities = match &config.allowed_capabilities {
        Some(names) => Capabilities::allow(module.import_sets(), names).map_err(|error| error.to_string())?,
        None => Capabilities::ALL,
    };
    Ok(VmSpec {
        module,
        vm_id: config.vm_id.clone(),
        configuration: config.configuration.clone(),
        environment: config.environment.clone(),
        capabilities,
        limits: config.limits,
        strict: config.strict,
    })
}

/// Puts filters together that share a VM: those with equal VM configurations, unless they mean different upstreams by
/// one name.
pub(crate) fn group<'a>(filters: impl Iterator<Item = &'a Arc<FilterConfig>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut of_config: HashMap<&VmConfig, Vec<usize>> = HashMap::new();
    let mut grouped: HashSet<&Arc<FilterConfig>> = HashSet::new();
    for filter in filters {
        if !grouped.insert(filter) {
            continue;
        }
        let agrees = |group: &Group| {
            let known = |(name, upstream)| group.upstreams.get(name).is_none_or(|known| known == upstream);
            filter.upstreams.iter().all(known)
        };
        let candidates = of_config.entry(&filter.vm).or_default();
        let number = candidates.iter().copied().find(|number| agrees(&groups[*number]));
        let number = number.unwrap_or_else(|| {
            groups.push(Group {
                config: filter.vm.clone(),
                filters: Vec::new(),
                upstreams: IndexMap::new(),
            });
            candidates.push(groups.len() - 1);
            groups.len() - 1
        });
        let group = &mut groups[number];
        group.filters.push(Arc::clone(filter));
        for (name, upstream) in &filter.upstreams {
            if !group.upstreams.contains_key(name) {
                group.upstreams.insert(name.clone(), Arc::clone(upstream));
            }
        }
    }
    groups
}

fn plan(
    group: &Group,
    filters: &[Arc<FilterConfig>],
    spec: &Arc<VmSpec>,
    upstreams: &HashMap<String, Arc<LoadedUpstream>>,
    log_level: LogLevel,
) -> VmPlan {
    let plugins: Vec<Arc<PluginSpec>> = filters.iter().map(|filter| Arc::new(plugin(filter))).collect();
    let level = |filter: &Arc<FilterConfig>| filter.log_level.unwrap_or(log_level);
    let log_levels: Vec<LogLevel> = filters.iter().map(level).collect();
    let reach = Reach {
        upstreams: upstreams.clone(),
        call_timeout: group.config.limits.http_call_timeout,
        log_level: log_levels.iter().copied().min().unwrap_or(log_level),
        // Of two plugins with one name the louder one counts.
        log_levels: filters.iter().fold(HashMap::new(), |mut levels, filter| {
            let entry = levels.entry(filter.name.clone()).or_insert(level(filter));
            *entry = (*entry).min(level(filter));
            levels
        }),
        // The filters of a VM share what it may reach, so one that does not want it keeps the others from it.
        by_authority: filters.iter().all(|filter| filter.call_by_authority),
        module: group
            .config
            .code
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let identity = Identity {
        by_authority: reach.by_authority,
        ticks: filters.iter().map(|filter| filter.ticks).collect(),
        config: group.config.clone(),
        digest: spec.module.digest(),
        plugins: plugins.iter().map(|plugin| PluginSpec::clone(plugin)).collect(),
        upstreams: group
            .upstreams
            .iter()
            .map(|(name, upstream)| (name.clone(), Arc::clone(upstream)))
            .collect(),
        log_levels,
    };
    VmPlan::new(Arc::clone(spec), plugins, Arc::new(reach), identity)
}

fn plugin(filter: &FilterConfig) -> PluginSpec {
    PluginSpec {
        name: filter.name.clone(),
        root_id: filter.root_id.clone(),
        configuration: filter.configuration.clone(),
        fail_policy: filter.fail_policy,
        allow_on_headers_stop_iteration: filter.allow_on_headers_stop_iteration,
        http_call_failure: filter.http_call_failure,
    }
}
