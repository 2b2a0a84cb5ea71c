//! What a VM and a plugin are made of.

use std::sync::Arc;

use weir_abi::{FailPolicy, HttpCallFailure, VmLimits};

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
    /// Bounds. The host leaves [`VmLimits::http_call_timeout`] to whoever makes the calls.
    pub limits: VmLimits,
    /// Answer as strictly as Envoy: a change that comes too late is `BadArgument`, on which most SDKs panic.
    pub strict: bool,
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
