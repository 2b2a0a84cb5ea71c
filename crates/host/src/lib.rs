//! The Proxy-Wasm host: VMs, contexts, every hostcall and callback; knows no runtime and no HTTP library.
//!
//! A proxy compiles a [`HostModule`], describes a VM with [`VmSpec`] and its plugins with [`PluginSpec`], starts a [`Vm`],
//! and then calls the callbacks of each stream in order. What the guest asks for reaches the proxy through two traits:
//! [`Stream`] for one stream, [`Services`] for the VM as a whole.
#![forbid(unsafe_code)]

mod action;
mod backoff;
mod call;
mod capabilities;
mod compile;
mod context_map;
mod error;
mod foreign;
mod gate;
mod hostcalls;
mod inspect;
mod maps;
mod property;
mod services;
mod shared;
mod snapshot;
mod spec;
mod state;
mod stream;
mod vm;

pub use action::{BodyAction, Finish, HeadersAction, StreamAction};
pub use backoff::RestartBackoff;
pub use capabilities::{Capabilities, UnknownCapability};
pub use compile::HostModule;
pub use error::{StartError, VmError};
pub use foreign::{ForeignCall, ForeignFunction, ForeignFunctions, Later};
pub use inspect::{LoadError, MemoryInfo, ModuleInfo, inspect};
pub use services::Services;
pub use shared::{
    HISTOGRAM_BOUNDS, HistogramSnapshot, MetricCache, MetricSnapshot, MetricValue, Metrics, Shared,
};
pub use snapshot::{NoSnapshot, VmSnapshot, WarmUp};
pub use spec::{PluginSpec, VmSpec};
pub use stream::{
    BufferStatus, CertificateField, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream,
};
pub use vm::Vm;
pub use weir_abi::{
    CallFailure, FailPolicy, GrpcCall, HttpCall, HttpCallFailure, HttpCallResponse, Pairs, VmLimits,
};

pub use weir_abi::ContextId;
pub use weir_state::{QueueWaker, Store, Stores};

pub(crate) use state::GrpcToken;
