//! VMs, as a chain reaches them.

use weir_abi::Callback;
use weir_host::{ContextId, Vm, VmError};

/// A place for the VM of a plan: the one that runs, or the wait for the next.
pub trait VmPlace {
    /// A VM that runs.
    type Vm: LiveVm;

    /// The VM that runs, if one does.
    fn live(&self) -> Option<Self::Vm>;

    /// Whether the plan's VMs have a callback.
    fn has(&self, callback: Callback) -> bool;
}

/// A VM that runs. Streams keep it until they end, so it is some kind of shared pointer.
pub trait LiveVm {
    /// The context of the plugin with this place in the plan.
    fn context(&self, plugin: usize) -> Option<ContextId>;

    /// Enters the VM. An error means that the VM is dead, or that it cannot take the stream: either way the caller has to
    /// do without it. Whoever implements this logs why, and brings the VM back.
    fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone>;

    /// A stream has ended but for its `proxy_done`: keeps the VM until that has come, or has been waited for long enough
    /// ([`weir_abi::limits::DONE_WAIT`]).
    fn await_done(&self);
}

/// The VM of a filter is dead, or has just died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmGone;
