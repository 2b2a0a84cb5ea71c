//! From a configuration to a snapshot: modules compiled, VMs described, each tried once.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use weir_abi::LogLevel;
use weir_config::{FilterConfig, ProxyConfig, RouteTarget, VmConfig};
use weir_engine::Engine;
use weir_host::{
    Capabilities, FailPolicy, HostModule, HttpCallFailure, PluginSpec, Shared, VmLimits, VmSpec,
};

use crate::snapshot::{
    FilterPlan, Identity, Reach, RoutePlan, Snapshot, StaticAnswer, Target, UpstreamPlan, VmPlan,
};
use crate::upstreams::{self, UpstreamError, Upstreams};
use crate::vm::start;

/// The first bytes of every WebAssembly module.
const WASM_MAGIC: &[u8] = b"\0asm";

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
    engines: Engines,
    shared: Shared,
    modules: HashMap<(PathBuf, String, [u8; 32]), Arc<HostModule>>,
}

/// A VM's plan, and the filters that become its plugins, in its order.
type Accepted = (VmPlan, Vec<Arc<FilterConfig>>);

/// A VM that is being put together, with the filters that want it.
struct Group {
    config: VmConfig,
    filters: Vec<Arc<FilterConfig>>,
    upstreams: Vec<(String, Arc<weir_config::Upstream>)>,
}

impl Builder {
    /// A builder for these runtimes; VMs share `shared`.
    pub fn new(engines: Engines, shared: Shared) -> Self {
        Self {
            engines,
            shared,
            modules: HashMap::new(),
        }
    }

    /// Builds a snapshot. Blocks: compiles, reads files, starts throw-away VMs.
    pub fn build(&mut self, config: &ProxyConfig) -> Result<Built, BuildError> {
        let used: Vec<&Arc<FilterConfig>> = config
            .routes
            .iter()
            .flat_map(|route| route.filters.iter().map(|filter| &filter.filter))
            .collect();
        let mut upstreams = Upstreams::default();
        let mut vms = Vec::new();
        let mut refused = Vec::new();
        let mut places: Vec<(Arc<FilterConfig>, usize, usize)> = Vec::new();
        let mut digests = HashMap::new();
        for group in group(used.iter().copied()) {
            let accepted = self.vm(
                &group,
                config.log_level,
                &mut upstreams,
                &mut digests,
                &mut refused,
            )?;
            if let Some((plan, accepted)) = accepted {
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
        for group in group(spare) {
            self.vm(
                &group,
                config.log_level,
                &mut upstreams,
                &mut digests,
                &mut refused,
            )?;
        }
        self.modules
            .retain(|(path, _, digest), _| digests.get(path) == Some(digest));
        let mut route_upstreams = Vec::new();
        let mut routes = Vec::new();
        for route in &config.routes {
            routes.push(RoutePlan {
                name: route.name.as_str().into(),
                matches: route.matches.clone(),
                strip_prefix: route.strip_prefix,
                host_rewrite: route.host_rewrite.clone().map(Bytes::from),
                timeout: route.timeout,
                cluster: cluster(&route.target),
                target: target(&route.target, &mut upstreams, &mut route_upstreams)?,
                filters: route
                    .filters
                    .iter()
                    .map(|filter| plan_filter(&filter.name, &filter.filter, &places))
                    .collect(),
            });
        }
        let snapshot = Snapshot {
            routes,
            vms,
            upstreams: route_upstreams,
            limits: config.limits,
            timeouts: config.timeouts,
        };
        Ok(Built { snapshot, refused })
    }

    /// Tries filters that belong to no proxy configuration.
    pub fn try_filters(&mut self, filters: &[Arc<FilterConfig>]) -> Result<Vec<Refusal>, BuildError> {
        let mut refused = Vec::new();
        let mut upstreams = Upstreams::default();
        for group in group(filters.iter()) {
            self.vm(
                &group,
                LogLevel::Info,
                &mut upstreams,
                &mut HashMap::new(),
                &mut refused,
            )?;
        }
        Ok(refused)
    }

    /// Plans a VM and tries it. A filter that is refused is left out, and the rest is tried again.
    fn vm(
        &mut self,
        group: &Group,
        log_level: LogLevel,
        upstreams: &mut Upstreams,
        digests: &mut HashMap<PathBuf, [u8; 32]>,
        refused: &mut Vec<Refusal>,
    ) -> Result<Option<Accepted>, BuildError> {
        let config = &group.config;
        let Some(engine) = self.engines.0.get(config.runtime.name.as_str()).cloned() else {
            return Err(BuildError::Runtime {
                place: config
                    .runtime
                    .location
                    .as_ref()
                    .map(|place| format!("{place}: "))
                    .unwrap_or_default(),
                written: config.runtime.written.clone(),
                available: self.engines.names(),
            });
        };
        let refusal = |filter: &Arc<FilterConfig>, reason: String| Refusal {
            filter: filter.name.clone(),
            module: config.code.clone(),
            reason,
        };
        let prepared = self.module(engine.as_ref(), config).and_then(|module| {
            let capabilities = match &config.allowed_capabilities {
                Some(names) => Capabilities::allow(names).map_err(|error| error.to_string())?,
                None => Capabilities::ALL,
            };
            Ok((module, capabilities))
        });
        let (module, capabilities) = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => {
                refused.extend(group.filters.iter().map(|filter| refusal(filter, reason.clone())));
                return Ok(None);
            }
        };
        digests.insert(config.code.clone(), *module.digest());
        let spec = Arc::new(VmSpec {
            module: Arc::clone(&module),
            vm_id: config.vm_id.clone(),
            configuration: config.configuration.clone(),
            environment: config.environment.clone(),
            capabilities,
            limits: VmLimits {
                memory: usize::try_from(config.limits.memory).unwrap_or(usize::MAX),
                callback_budget: config.limits.callback_deadline,
                start_budget: config.limits.start_deadline,
                http_calls: config.limits.http_calls,
            },
            strict: config.strict,
        });
        let mut ready = HashMap::new();
        for (name, upstream) in &group.upstreams {
            ready.insert(name.clone(), upstreams.ready(upstream)?);
        }
        let mut filters = group.filters.clone();
        loop {
            let plan = plan(group, &filters, &spec, &ready, log_level);
            let Err(error) = start::canary(&plan, &self.shared) else {
                return Ok(Some((plan, filters)));
            };
            // The one that is to blame, if the error names it; else all of them.
            let culprit = filters.iter().position(|filter| names(&error, &filter.name));
            match culprit {
                Some(index) if filters.len() > 1 => {
                    let filter = filters.remove(index);
                    refused.push(refusal(&filter, error.to_string()));
                }
                _ => {
                    refused.extend(filters.iter().map(|filter| refusal(filter, error.to_string())));
                    return Ok(None);
                }
            }
        }
    }

    /// Compiles a module, unless that has been done for the same bytes before.
    fn module(&mut self, engine: &dyn Engine, config: &VmConfig) -> Result<Arc<HostModule>, String> {
        let name = config.code.display().to_string();
        let bytes = std::fs::read(&config.code).map_err(|error| format!("cannot be read: {error}"))?;
        if !bytes.starts_with(WASM_MAGIC) {
            return Err(if bytes.is_empty() {
                "the file is empty".to_owned()
            } else {
                "not a WebAssembly module: it does not begin with \\0asm (machine code compiled ahead of time is taken \
                 from no file yet)"
                    .to_owned()
            });
        }
        let digest = <[u8; 32]>::from(Sha256::digest(&bytes));
        let key = (config.code.clone(), engine.name().to_owned(), digest);
        if let Some(module) = self.modules.get(&key) {
            return Ok(Arc::clone(module));
        }
        let module = HostModule::compile(engine, &name, &bytes).map_err(|error| error.to_string())?;
        self.modules.insert(key, Arc::clone(&module));
        Ok(module)
    }
}

/// Whether an error is about one plugin.
fn names(error: &weir_host::StartError, plugin: &str) -> bool {
    matches!(error, weir_host::StartError::ConfigureRefused { plugin: refused, .. } if refused == plugin)
}

/// Puts filters together that share a VM: those with equal VM configurations, unless they mean different upstreams by
/// one name.
fn group<'a>(filters: impl Iterator<Item = &'a Arc<FilterConfig>>) -> Vec<Group> {
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
    upstreams: &HashMap<String, Arc<weir_outbound::Upstream>>,
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
        module: group.config.code.display().to_string(),
    };
    let identity = Identity {
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
        fail_policy: match filter.fail_policy {
            weir_config::FailPolicy::Open => FailPolicy::Open,
            weir_config::FailPolicy::Closed => FailPolicy::Closed,
        },
        allow_on_headers_stop_iteration: filter.allow_on_headers_stop_iteration,
        http_call_failure: match filter.http_call_failure {
            weir_config::HttpCallFailure::Zeros => HttpCallFailure::Zeros,
            weir_config::HttpCallFailure::Synthesize => HttpCallFailure::Synthesize,
        },
    }
}

fn plan_filter(
    name: &str,
    filter: &Arc<FilterConfig>,
    places: &[(Arc<FilterConfig>, usize, usize)],
) -> FilterPlan {
    FilterPlan {
        name: name.into(),
        config: Arc::clone(filter),
        vm: places
            .iter()
            .find(|(known, ..)| known == filter)
            .map(|(_, vm, plugin)| (*vm, *plugin)),
        fail_open: filter.fail_policy == weir_config::FailPolicy::Open,
        limit: usize::try_from(filter.body_limit).unwrap_or(usize::MAX),
    }
}

fn cluster(target: &RouteTarget) -> Arc<str> {
    match target {
        RouteTarget::Echo => "echo".into(),
        RouteTarget::Static(_) => "static".into(),
        RouteTarget::Upstream(upstream) => upstream.name.as_str().into(),
    }
}

fn target(
    target: &RouteTarget,
    upstreams: &mut Upstreams,
    plans: &mut Vec<UpstreamPlan>,
) -> Result<Target, UpstreamError> {
    match target {
        RouteTarget::Echo => Ok(Target::Echo),
        RouteTarget::Static(answer) => {
            let mut fields = HeaderMap::with_capacity(answer.headers.len());
            for (name, value) in &answer.headers {
                // The configuration has checked them.
                if let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(name.as_bytes()),
                    HeaderValue::from_str(value),
                ) {
                    fields.append(name, value);
                }
            }
            Ok(Target::Static(StaticAnswer {
                status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
                fields,
                body: Bytes::from(answer.body.clone()),
            }))
        }
        RouteTarget::Upstream(config) => {
            if let Some(place) = plans.iter().position(|plan| plan.config == *config) {
                return Ok(Target::Upstream(place));
            }
            let upstream = upstreams.ready(config)?;
            plans.push(UpstreamPlan {
                config: Arc::clone(config),
                upstream: Arc::new(upstreams::for_routes(&upstream)),
            });
            Ok(Target::Upstream(plans.len() - 1))
        }
    }
}
