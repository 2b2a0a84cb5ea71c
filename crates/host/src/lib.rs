//! The Proxy-Wasm host: VMs, contexts, every hostcall and callback; knows no runtime and no HTTP library.
//!
//! A proxy compiles a [`HostModule`], describes a VM with [`VmSpec`] and its plugins with [`PluginSpec`], starts a [`Vm`],
//! and then calls the callbacks of each stream in order. What the guest asks for reaches the proxy through two traits:
//! [`Stream`] for one stream, [`Services`] for the VM as a whole.
//!
//! Functions that guests may import come in [`sets`], to which a proxy may add its own. The [`life`] of a guest (start,
//! budgets, account, death) stands apart from Proxy-Wasm, for guests of other kinds.
#![forbid(unsafe_code)]

mod backoff;
mod capabilities;
mod clock;
mod compile;
mod error;
mod foreign;
mod inspect;
#[cfg(test)]
mod layers;
pub mod life;
mod property;
mod proxy_wasm;
mod services;
pub mod sets;
mod shared;
mod slot;
mod snapshot;
mod spec;
mod stream;

pub use backoff::{RestartBackoff, RestartBudget};
pub use capabilities::{Capabilities, UnknownCapability};
pub use compile::HostModule;
pub use error::{Exceeded, StartError, VmError};
pub use foreign::{ForeignCall, ForeignFunction, ForeignFunctions, Later};
pub use inspect::{ImportGroup, LoadError, MemoryInfo, ModuleInfo, inspect};
pub use proxy_wasm::{
    BodyAction, ConsumedQueues, Finish, HeadersAction, StreamAction, TrialRefusal, TrialServices, Vm,
    VmSnapshot,
};
pub use services::Services;
pub use sets::ImportSets;
pub use shared::{
    HISTOGRAM_BOUNDS, HistogramSnapshot, LogAllowance, LostLogLines, MetricCache, MetricSnapshot,
    MetricValue, Metrics, Shared,
};
pub use slot::{ExportedCallbacks, LiveVm, VmGone, VmKeeper, VmSlot};
pub use snapshot::{GuestSnapshot, NoSnapshot};
pub use spec::{PluginSpec, VmSpec};
pub use stream::{
    BufferStatus, CertificateField, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream,
};
pub use weir_abi::{
    CallFailure, FailPolicy, GrpcCall, HttpCall, HttpCallFailure, HttpCallResponse, Pairs, VmLimits, WarmUp,
};

pub use weir_abi::ContextId;
pub use weir_account::{Account, CallTicket, Ceiling, Charge};
pub use weir_state::{QueueWaker, Store, Stores, Usage};
