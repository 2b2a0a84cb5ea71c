//! Host functions as data.

use weir_abi::Signature;

use crate::{Caller, Trap};

/// A host function: reads its arguments from raw slots and returns its raw result (0 where it has none).
pub type HostFn = fn(&mut dyn Caller, &[u64]) -> Result<u64, Trap>;

/// One function that the host offers to guests.
#[derive(Clone, Copy, Debug)]
pub struct HostFunc {
    /// Import module, such as `env`.
    pub module: &'static str,
    /// Import name, such as `proxy_log`.
    pub name: &'static str,
    /// Parameters and result.
    pub signature: Signature,
    /// The code.
    pub call: HostFn,
}

/// Everything that the host offers. Where a name stands twice with different signatures, a module gets the one whose
/// signature it imports.
pub type HostFuncs = &'static [HostFunc];
