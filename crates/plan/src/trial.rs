//! VMs: which filters share one, what it is made of, and whether it starts.

use std::collections::HashMap;
use std::sync::Arc;

use weir_abi::LogLevel;
use weir_config::{FilterConfig, VmConfig};
use weir_host::{Capabilities, HostModule, PluginSpec, Shared, StartError, VmSpec};
use weir_outbound::LoadedUpstream;

use crate::canary;
use crate::error::Refusal;
use crate::modules::Modules;
use crate::reach::Reach;
use crate::vm::{Identity, VmPlan};

/// A VM that is being put together, with the filters that want it.
pub(crate) struct Group {
    /// What its filters say about the VM; equal for all of them.
    pub config: VmConfig,
    /// The filters, each once.
    pub filters: Vec<Arc<FilterConfig>>,
    /// The upstreams that they may call, by the names that they use.
    pub upstreams: Vec<(String, Arc<weir_config::Upstream>)>,
}

/// What came of trying a VM.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Its plan, and the filters that are its plugins, in its order; `None` where no filter was accepted.
    pub accepted: Option<(VmPlan, Vec<Arc<FilterConfig>>)>,
    /// Filters that were refused.
    pub refused: Vec<Refusal>,
}

/// Plans a VM and tries it. Filters that are refused are left out, and the rest is tried again.
pub(crate) fn run(
    group: &Group,
    upstreams: &HashMap<String, Arc<LoadedUpstream>>,
    log_level: LogLevel,
    modules: &Modules,
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
    let attempt = |filters: &[Arc<FilterConfig>]| {
        let plan = plan(group, filters, &spec, upstreams, log_level);
        canary::run(&plan, shared).map(|()| plan)
    };
    while !filters.is_empty() {
        let error = match attempt(&filters) {
            Ok(plan) => {
                return Outcome {
                    accepted: Some((plan, filters)),
                    refused,
                };
            }
            Err(error) => error,
        };
        let before = filters.len();
        filters.retain(|filter| {
            // The error may say whose it is; else it shows when the filter is alone.
            let own = match names(&error, &filter.name) {
                Some(false) => return true,
                Some(true) => error.to_string(),
                None if before == 1 => error.to_string(),
                None => match attempt(std::slice::from_ref(filter)) {
                    Ok(_) => return true,
                    Err(own) => own.to_string(),
                },
            };
            refuse(filter, own);
            false
        });
        if filters.len() == before {
            // Each would do alone, but not together.
            filters
                .drain(..)
                .for_each(|filter| refuse(&filter, error.to_string()));
        }
    }
    Outcome {
        accepted: None,
        refused,
    }
}

/// Whether an error is about one plugin, where it says.
fn names(error: &StartError, plugin: &str) -> Option<bool> {
    match error {
        StartError::ConfigureRefused { plugin: refused, .. } => Some(refused == plugin),
        _ => None,
    }
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
    for filter in filters {
        let agrees = |group: &&mut Group| {
            group.config == filter.vm
                && group
                    .upstreams
                    .iter()
                    .all(|(name, upstream)| filter.upstreams.get(name).is_none_or(|other| other == upstream))
        };
        let group = match groups.iter_mut().find(agrees) {
            Some(group) => group,
            None => {
                groups.push(Group {
                    config: filter.vm.clone(),
                    filters: Vec::new(),
                    upstreams: Vec::new(),
                });
                let Some(group) = groups.last_mut() else {
                    continue;
                };
                group
            }
        };
        if !group.filters.contains(filter) {
            group.filters.push(Arc::clone(filter));
        }
        for (name, upstream) in &filter.upstreams {
            if !group.upstreams.iter().any(|(known, _)| known == name) {
                group.upstreams.push((name.clone(), Arc::clone(upstream)));
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
        digest: *spec.module.digest(),
        plugins: plugins.iter().map(|plugin| PluginSpec::clone(plugin)).collect(),
        upstreams: group.upstreams.clone(),
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
