//! What a VM and a plugin are made of.

use std::sync::Arc;
use std::time::Duration;

use weir_abi::limits;

use crate::{Capabilities, HostModule};

/// Everything that makes a VM. VMs with equal parts may serve several plugins.
pub struct VmSpec {
    /// The module.
    pub module: Arc<HostModule>,
    /// Scope of shared data and queues (`vm_id`).
    pub vm_id: String,
    /// VM configuration, read by the guest in `proxy_on_vm_start`.
    pub configuration: Vec<u8>,
    /// Environment variables that WASI shows.
    pub environment: Vec<(String, String)>,
    /// What the guest may call and what is called in it.
    pub capabilities: Capabilities,
    /// Bounds.
    pub limits: VmLimits,
    /// Answer as strictly as Envoy: a change that comes too late is `BadArgument`, on which most SDKs panic.
    pub strict: bool,
}

/// Bounds of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmLimits {
    /// Bytes of linear memory.
    pub memory: usize,
    /// CPU time of one callback.
    pub callback_budget: Duration,
    /// CPU time of each start function, of `proxy_on_vm_start` and of `proxy_on_configure`.
    pub start_budget: Duration,
    /// HTTP calls in flight.
    pub http_calls: usize,
}

impl Default for VmLimits {
    fn default() -> Self {
        Self {
            memory: weir_engine::DEFAULT_MEMORY_LIMIT,
            callback_budget: limits::CALLBACK_BUDGET,
            start_budget: limits::START_BUDGET,
            http_calls: limits::MAX_HTTP_CALLS_IN_FLIGHT,
        }
    }
}

/// Everything that makes a plugin context in a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSpec {
    /// Name, for logs and the property `plugin_name`.
    pub name: String,
    /// Which of a module's root contexts is meant (`root_id`).
    pub root_id: String,
    /// Plugin configuration, read by the guest in `proxy_on_configure`.
    pub configuration: Vec<u8>,
    /// What a stream gets when the VM is dead.
    pub fail_policy: FailPolicy,
    /// Whether 1 from a headers callback holds back only the headers (Envoy's switch of this name).
    pub allow_on_headers_stop_iteration: bool,
    /// How the guest learns that an HTTP call failed.
    pub http_call_failure: HttpCallFailure,
}

/// What a stream gets when the VM of one of its filters is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailPolicy {
    /// It goes on without the filter.
    Open,
    /// It is answered with 503.
    #[default]
    Closed,
}

/// How a guest learns that an HTTP call failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpCallFailure {
    /// All counts zero; `proxy_get_status` says why (specification).
    #[default]
    Zeros,
    /// A made-up answer, `:status` 503 or 504 and a text, as Envoy's client gives.
    Synthesize,
}
