//! Host functions as data.

use weir_abi::Signature;

use crate::{Caller, Trap};

/// Parameters that a host function may have at most. `proxy_grpc_call` has the most of the ABI, 12.
pub const MAX_PARAMS: usize = 16;

/// The code of a host function: takes the function's [`HostFunc::id`] and its arguments in raw slots, returns its raw
/// result (0 for a function without one). Where it panics, [`Instance::call`](crate::Instance::call) does, whether or not
/// the runtime's own frames can be unwound.
pub type HostFn = fn(&mut dyn Caller, u32, &[u64]) -> Result<u64, Trap>;

/// One function that the host offers to guests.
#[derive(Clone, Copy, Debug)]
pub struct HostFunc {
    /// Import module, such as `env`.
    pub module: &'static str,
    /// Import name, such as `proxy_log`.
    pub name: &'static str,
    /// Parameters (at most [`MAX_PARAMS`]) and result.
    pub signature: Signature,
    /// Number by which the host knows the function. Backends hand it to `call` and look no further.
    pub id: u32,
    /// The code.
    pub call: HostFn,
}

impl HostFunc {
    /// Runs the function for a guest that calls it with `args`: what a backend does for each call.
    ///
    /// # Errors
    ///
    /// The guest is to be stopped with this trap.
    #[inline]
    pub fn run(&self, caller: &mut dyn Caller, args: &[u64]) -> Result<u64, Trap> {
        (self.call)(caller, self.id, args)
    }
}

/// Everything that the host offers. Where a name stands twice with different signatures, a module gets the one whose
/// signature it imports.
pub type HostFuncs = &'static [HostFunc];
