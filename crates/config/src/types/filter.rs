//! A filter: one plugin and the VM that it runs in.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use weir_abi::{FailPolicy, HttpCallFailure, LogLevel, VmLimits};

use crate::Location;
use crate::types::{RequestTarget, RouteMatch, Snapshot, Upstream};

/// A filter, as the `config:` block of the Traffic Server plugin describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterConfig {
    /// The file that the block was read from, absolute.
    pub source: PathBuf,
    /// Name, for logs and the property `plugin_name`. Unless given, the filter's name in the proxy file or the stem
    /// of the file's name.
    pub name: String,
    /// Names the root context of the module, for modules that have several; empty unless given.
    pub root_id: String,
    /// Plugin configuration, handed to the guest byte for byte. A YAML map or list has become JSON.
    pub configuration: Vec<u8>,
    /// The fate of streams while the VM is dead: on without the filter (open), or 503 (closed). Open unless given.
    pub fail_policy: FailPolicy,
    /// True if the document sets the fail policy; a start logs that a policy is open by default.
    pub fail_policy_given: bool,
    /// True if 1 from a headers callback holds back only the headers (Envoy's switch of this name).
    pub allow_on_headers_stop_iteration: bool,
    /// The form in which the guest learns that an HTTP call failed.
    pub http_call_failure: HttpCallFailure,
    /// The lowest level of guest log lines that is kept; `None` means the proxy's.
    pub log_level: Option<LogLevel>,
    /// Body bytes that are buffered for the filter while it holds a body back. Unless given, the proxy's limit.
    pub body_limit: u64,
    /// Upstreams that the guest may call, by the name it uses: the filter's own, then the proxy's, and each entry of
    /// `direct_upstreams` under its `host:port`. Calls to other names are refused.
    pub upstreams: IndexMap<String, Arc<Upstream>>,
    /// Conditions on requests; the filter sees a request that meets any of them. Empty means all requests.
    pub matches: Vec<RouteMatch>,
    /// The longest that the filter may hold a stream, which then gets the fail policy;
    /// [`STREAM_DEADLINE`](weir_abi::limits::STREAM_DEADLINE) unless given. Of a chain the shortest counts.
    pub stream_deadline: Duration,
    /// True if Traffic Server's cache stores responses as the filter has changed them; false unless given. `weir serve` has
    /// no cache.
    pub cache_transformed: bool,
    /// True if a call to an unknown upstream goes to its `:authority`, where `direct_upstreams` lists that; false unless
    /// given.
    pub call_by_authority: bool,
    /// The VMs in which the filter's ticks run; `None` leaves that to the proxy.
    pub ticks: Option<Ticks>,
    /// True if Traffic Server's plugin reloads when a file of the filter changes; false unless given. `weir serve` has
    /// [`ProxyConfig::watch`](crate::ProxyConfig::watch).
    pub watch: bool,
    /// Keys that stand in the document without a value (`name:`, `rootId: ~`), which counts as no key; see
    /// [`FilterConfig::warnings`].
    pub empty_keys: Vec<&'static str>,
    /// Module, runtime and limits of the filter's VM.
    pub vm: VmConfig,
}

impl Hash for FilterConfig {
    /// Filters of one document and name are equal as a rule, so these two are enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.name.hash(state);
    }
}

/// The VMs in which a filter's ticks run, of those that it has: one for each worker of `weir serve`, one for each net thread
/// of Traffic Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ticks {
    /// The VM of the first thread; in the VM of another thread while a stream there waits for its filters, because a tick
    /// may be what it waits for. Traffic Server's default.
    OneVm,
    /// Every VM. The default of `weir serve`.
    EveryVm,
}

impl FilterConfig {
    /// The files that the filter is made of, absolute, sorted, each once: its own, the module, certificates.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = BTreeSet::new();
        self.collect_files(&mut files);
        files.into_iter().cloned().collect()
    }

    pub(crate) fn collect_files<'a>(&'a self, files: &mut BTreeSet<&'a PathBuf>) {
        files.insert(&self.source);
        files.extend(self.vm.code.as_ref().and_then(CodeSource::file));
        self.upstreams
            .values()
            .for_each(|upstream| upstream.collect_files(files));
    }

    /// A line for operators about a fail policy that nobody has chosen; `None` where the document says one.
    pub fn open_by_default(&self) -> Option<String> {
        (!self.fail_policy_given).then(|| {
            format!(
                "filter {}: no `fail_policy`, so it is open: while the filter's VM is dead, requests pass without the filter",
                self.name
            )
        })
    }

    /// Lines for operators about what the document may not mean. Proxies log them when they load the filter.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        self.empty_keys.iter().map(|key| {
            format!(
                "{}: {key}: has no value, which counts as no key; remove it, or give it a value (filter {})",
                self.source.display(),
                self.name
            )
        })
    }

    /// True if the filter stands in for a document that could not be read ([`FilterConfig::stand_in`]): it has no module,
    /// and its streams get its fail policy.
    pub fn is_stand_in(&self) -> bool {
        self.vm.code.is_none()
    }

    /// Returns true if the filter sees a request; see [`RouteMatch::may_match`]. Proxies ask when a request comes.
    pub fn sees(&self, target: &RequestTarget<'_>) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|rule| rule.may_match(target))
    }
}

/// The settings of a VM. Filters whose `VmConfig` are equal share one VM, each with a plugin context of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VmConfig {
    /// The runtime that executes the module.
    pub runtime: Runtime,
    /// Scope of shared data and queues; empty unless given.
    pub vm_id: String,
    /// VM configuration, handed to the guest byte for byte.
    pub configuration: Vec<u8>,
    /// True if machine code in the module's file is executed (`weir compile` puts it there); false unless given.
    pub allow_precompiled: bool,
    /// Environment variables that WASI shows to the guest, in the order written, values already looked up.
    pub environment: Vec<(String, String)>,
    /// The source of the module; `None` in a filter that stands in for a document ([`FilterConfig::stand_in`]).
    pub code: Option<CodeSource>,
    /// Names of the hostcalls, callbacks and WASI functions that are allowed, sorted; `None` allows all.
    pub allowed_capabilities: Option<Vec<String>>,
    /// Most bytes of the module's file; [`MAX_MODULE_FILE_BYTES`](weir_abi::limits::MAX_MODULE_FILE_BYTES) unless given.
    pub module_file: u64,
    /// Limits of memory, time and number for a guest.
    pub limits: VmLimits,
    /// Answer as strictly as Envoy: a change that comes too late is refused, on which most SDKs panic.
    pub strict: bool,
    /// Starts VMs from a snapshot, where the module and the runtime allow that.
    pub snapshot: Option<Snapshot>,
}

/// The source of a module: the value of `code`. Displayed, it names the module in messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CodeSource {
    /// `local.filename`: a regular file, absolute; it existed when the configuration was read.
    Local(PathBuf),
}

impl CodeSource {
    /// The file that the module lies in, for a watch; `None` where it lies in none.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Local(file) => Some(file),
        }
    }
}

impl fmt::Display for CodeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(file) => file.display().fmt(f),
        }
    }
}

/// The name of a runtime, such as `wasmtime`. Prefixes of Envoy and Traffic Server are already taken off.
///
/// Two are equal when their names are.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The name of the runtime, such as `wasmtime` or `wasmi`.
    pub name: String,
    /// The name as written in the file, such as `ats.wasm.runtime.wamr`.
    pub written: String,
    /// File and line of the name, for messages; `None` for the default.
    pub location: Option<Location>,
}

impl Runtime {
    /// The runtime that a configuration gets if it names none.
    pub const DEFAULT: &'static str = "wasmtime";
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            name: Self::DEFAULT.to_owned(),
            written: Self::DEFAULT.to_owned(),
            location: None,
        }
    }
}

impl PartialEq for Runtime {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Runtime {}

impl Hash for Runtime {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
