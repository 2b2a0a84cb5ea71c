//! Specifications of VMs and plugins.

use std::sync::Arc;

use weir_abi::{FailPolicy, HttpCallFailure, VmLimits};

use crate::{Capabilities, HostModule};

/// The specification of a VM: everything that all VMs of one VM key have in common. Plugins with equal parts share a VM.
pub struct VmSpec {
    /// The module.
    pub module: Arc<HostModule>,
    /// Scope of shared data and queues (`vm_id`).
    pub vm_id: String,
    /// VM configuration, read by the guest in `proxy_on_vm_start`.
    pub configuration: Vec<u8>,
    /// Environment variables that WASI shows.
    pub environment: Vec<(String, String)>,
    /// Imports and callbacks that the guest may use.
    pub capabilities: Capabilities,
    /// Bounds. The host leaves [`VmLimits::http_call_timeout`] to whoever makes the calls.
    pub limits: VmLimits,
    /// True to answer as strictly as Envoy: a change that comes too late is `BadArgument`, on which most SDKs panic. Otherwise
    /// the change is dropped with one warning.
    pub strict: bool,
}

/// The specification of a plugin context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSpec {
    /// Name, for logs and the property `plugin_name`.
    pub name: String,
    /// Name of the root context in a module that has several (`root_id`).
    pub root_id: String,
    /// Plugin configuration, read by the guest in `proxy_on_configure`.
    pub configuration: Vec<u8>,
    /// The fate of a stream whose VM is dead.
    pub fail_policy: FailPolicy,
    /// True if 1 from a headers callback holds back only the headers (Envoy's switch of this name).
    pub allow_on_headers_stop_iteration: bool,
    /// The form in which the guest learns that an HTTP call failed.
    pub http_call_failure: HttpCallFailure,
}
