//! VMs that start from a snapshot.

use weir_abi::WarmUp;

/// VMs start from a snapshot of one that has been configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Requests that the VM gets before it is frozen, in this order; none unless given.
    pub warm_up: Vec<WarmUp>,
}
