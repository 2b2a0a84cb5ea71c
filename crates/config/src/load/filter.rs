//! A filter: the `config:` block.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use weir_abi::LogLevel;
use weir_abi::limits::{MAX_MODULE_FILE_BYTES, STREAM_DEADLINE};

use super::bytes::configuration;
use super::upstream::UpstreamDefaults;
use super::{or, route, upstream, vm};
use crate::read::{Field, Keys};
use crate::{
    FailPolicy, FilterConfig, HttpCallFailure, Limits, Runtime, Ticks, Timeouts, Upstream, VmConfig, VmLimits,
};

/// Values that a filter gets from the document around it.
pub(super) struct Defaults {
    pub(super) name: String,
    pub(super) body_limit: u64,
    pub(super) upstream: UpstreamDefaults,
    /// The proxy's, for filters that have none of the same name.
    pub(super) upstreams: IndexMap<String, Arc<Upstream>>,
}

impl Defaults {
    /// For a filter on its own.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            body_limit: Limits::default().body,
            upstream: UpstreamDefaults::new(&Timeouts::default(), &Limits::default()),
            upstreams: IndexMap::new(),
        }
    }
}

/// Reads a block that stands under the key `config`, or directly in `field`.
pub(super) fn read(field: &Field<'_>, defaults: &Defaults) -> Option<FilterConfig> {
    let keys = field.keys()?;
    if keys.is_empty() {
        keys.require("config");
        return None;
    }
    let Some(config) = keys.take("config") else {
        return block(&keys, defaults);
    };
    keys.finish();
    block(&config.keys()?, defaults)
}

/// See [`FilterConfig::stand_in`].
pub(super) fn stand_in(field: &Field<'_>, defaults: &Defaults) -> FilterConfig {
    let mut filter = without_module(field.document.path.clone(), defaults);
    let Some(keys) = field.keys() else {
        return filter;
    };
    let keys = match keys.take("config") {
        Some(config) => config.keys(),
        None => Some(keys),
    };
    if let Some(keys) = keys {
        let name = keys.take("name").filter(|name| !name.is_empty_text());
        filter.name = or(name, filter.name, Field::string);
        let given = fail_policy(&keys);
        filter.fail_policy_given = given.is_some();
        filter.fail_policy = given.unwrap_or_default();
        filter.matches = or(keys.take("match"), Vec::new(), |field| {
            Some(field.items_or_one().iter().filter_map(route::condition).collect())
        });
    }
    filter
}

/// A filter of which nothing is known but where it should have stood.
pub(super) fn without_module(source: PathBuf, defaults: &Defaults) -> FilterConfig {
    FilterConfig {
        source,
        name: defaults.name.clone(),
        root_id: String::new(),
        configuration: Vec::new(),
        fail_policy: FailPolicy::default(),
        fail_policy_given: false,
        allow_on_headers_stop_iteration: false,
        http_call_failure: HttpCallFailure::default(),
        log_level: None,
        body_limit: defaults.body_limit,
        upstreams: IndexMap::new(),
        matches: Vec::new(),
        stream_deadline: STREAM_DEADLINE,
        cache_transformed: false,
        call_by_authority: false,
        ticks: None,
        watch: false,
        empty_keys: Vec::new(),
        vm: VmConfig {
            runtime: Runtime::default(),
            vm_id: String::new(),
            configuration: Vec::new(),
            allow_precompiled: false,
            environment: Vec::new(),
            code: None,
            allowed_capabilities: None,
            module_file: MAX_MODULE_FILE_BYTES,
            limits: VmLimits::default(),
            strict: false,
            snapshot: None,
        },
    }
}

fn block(keys: &Keys<'_>, defaults: &Defaults) -> Option<FilterConfig> {
    let mut empty_keys = Vec::new();
    let mut given = |key: &'static str| {
        let field = keys.take(key);
        if field.as_ref().is_some_and(Field::is_empty_text) {
            empty_keys.push(key);
            return None;
        }
        field
    };
    let name = or(given("name"), defaults.name.clone(), Field::string);
    let root_id = or(given("root_id"), String::new(), Field::string);
    let plugin_configuration = or(keys.take("configuration"), Vec::new(), configuration);
    let fail_policy = fail_policy(keys);
    let allow_on_headers_stop_iteration = or(
        keys.take("allow_on_headers_stop_iteration"),
        false,
        Field::boolean,
    );
    let http_call_failure = or(
        keys.take("http_call_failure"),
        HttpCallFailure::default(),
        |field| {
            field.choice(&[
                ("zeros", HttpCallFailure::Zeros),
                ("synthesize", HttpCallFailure::Synthesize),
            ])
        },
    );
    let log_level = keys.take("log_level").and_then(|field| log_level(&field));
    let strict = or(keys.take("strict"), false, Field::boolean);
    let matches = or(keys.take("match"), Vec::new(), |field| {
        Some(field.items_or_one().iter().filter_map(route::condition).collect())
    });
    let cache_transformed = or(keys.take("cache_transformed"), false, Field::boolean);
    let call_by_authority = or(keys.take("call_by_authority"), false, Field::boolean);
    let ticks = keys
        .take("ticks")
        .and_then(|field| field.choice(&[("one_vm", Ticks::OneVm), ("every_vm", Ticks::EveryVm)]));
    let watch = or(keys.take("watch"), false, Field::boolean);
    let Bounds {
        vm: limits,
        body: body_limit,
        stream_deadline,
        module_file,
    } = limits(keys, defaults.body_limit);
    let upstreams = upstreams(keys, defaults);
    let vm = vm::read(keys, limits, module_file, strict);
    let source = keys.field().document.path.clone();
    keys.finish();
    Some(FilterConfig {
        source,
        name,
        root_id,
        configuration: plugin_configuration,
        fail_policy: fail_policy.unwrap_or_default(),
        fail_policy_given: fail_policy.is_some(),
        allow_on_headers_stop_iteration,
        http_call_failure,
        log_level,
        body_limit,
        upstreams,
        matches,
        stream_deadline,
        cache_transformed,
        call_by_authority,
        ticks,
        watch,
        empty_keys,
        vm: vm?,
    })
}

/// `fail_open: true` or `fail_policy: open`; `None` if neither is there.
pub(super) fn fail_policy(keys: &Keys<'_>) -> Option<FailPolicy> {
    let (open, policy) = (keys.take("fail_open"), keys.take("fail_policy"));
    if let (Some(open), Some(_)) = (&open, &policy) {
        open.report("means the same as \"fail_policy\"; expected one of them");
    }
    let open = open.and_then(|field| field.boolean());
    let policy =
        policy.and_then(|field| field.choice(&[("open", FailPolicy::Open), ("closed", FailPolicy::Closed)]));
    policy.or(open.map(|open| {
        if open {
            FailPolicy::Open
        } else {
            FailPolicy::Closed
        }
    }))
}

/// The levels of the ABI, and `warning`.
pub(super) fn log_level(field: &Field<'_>) -> Option<LogLevel> {
    field.choice(&[
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("critical", LogLevel::Critical),
    ])
}

/// The values under `limits`: the VM's bounds, and the filter's own.
struct Bounds {
    vm: VmLimits,
    body: u64,
    stream_deadline: Duration,
    module_file: u64,
}

fn limits(block: &Keys<'_>, body: u64) -> Bounds {
    let defaults = VmLimits::default();
    let Some(keys) = block.take("limits").and_then(|field| field.keys()) else {
        return Bounds {
            vm: defaults,
            body,
            stream_deadline: STREAM_DEADLINE,
            module_file: MAX_MODULE_FILE_BYTES,
        };
    };
    let limits = VmLimits {
        memory: or(keys.take("memory"), defaults.memory, memory),
        callback_deadline: or(
            keys.take_any(&["callback_deadline", "deadline"]),
            defaults.callback_deadline,
            Field::duration,
        ),
        start_deadline: or(
            keys.take("start_deadline"),
            defaults.start_deadline,
            Field::duration,
        ),
        http_calls: or(keys.take("http_calls"), defaults.http_calls, |field| {
            field.number(0, usize::MAX)
        }),
        http_call_timeout: or(
            keys.take("http_call_timeout"),
            defaults.http_call_timeout,
            Field::duration,
        ),
        host_memory: or(keys.take("host_memory"), defaults.host_memory, bytes),
        log: or(keys.take("log"), defaults.log, Field::size),
        cpu: or(keys.take("cpu"), defaults.cpu, Field::cpu_share),
    };
    let body = or(keys.take("body"), body, Field::size);
    let stream_deadline = or(keys.take("stream_deadline"), STREAM_DEADLINE, Field::duration);
    let module_file = or(keys.take("module_file"), MAX_MODULE_FILE_BYTES, Field::size);
    keys.finish();
    Bounds {
        vm: limits,
        body,
        stream_deadline,
        module_file,
    }
}

/// A size that fits an address.
pub(super) fn bytes(field: &Field<'_>) -> Option<usize> {
    usize::try_from(field.size()?).ok()
}

/// Linear memory: at least a page, at most what 32-bit addresses reach.
fn memory(field: &Field<'_>) -> Option<u64> {
    let bytes = field.size()?;
    if (64 << 10..=4 << 30).contains(&bytes) {
        Some(bytes)
    } else {
        field.expected("a size from 64KiB to 4GiB")
    }
}

/// The filter's own, then direct ones, then the proxy's; the first of a name wins.
fn upstreams(keys: &Keys<'_>, defaults: &Defaults) -> IndexMap<String, Arc<Upstream>> {
    let own = or(keys.take("upstreams"), IndexMap::new(), |field| {
        upstream::read_all(field, defaults.upstream)
    });
    let mut upstreams: IndexMap<_, _> = own
        .into_iter()
        .filter_map(|(name, own)| Some((name, own?)))
        .collect();
    let direct = or(keys.take("direct_upstreams"), Vec::new(), |field| {
        upstream::read_direct(field, defaults.upstream)
    });
    for upstream in direct.into_iter().chain(defaults.upstreams.values().cloned()) {
        upstreams.entry(upstream.name.clone()).or_insert(upstream);
    }
    upstreams
}
