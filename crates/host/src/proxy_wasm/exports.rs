//! The callbacks of an instance, resolved once.

use weir_abi::{AbiVersion, Callback};
use weir_engine::FuncId;

use super::state::ProxyWasmState;
use crate::VmSpec;
use crate::life::GuestInstance;

/// The callbacks that a module exports and its capabilities allow.
pub(super) struct Exports {
    funcs: [Option<FuncId>; Callback::ALL.len()],
    /// Headers callbacks of ABI 0.1.0 take no end_of_stream.
    two_parameters: u64,
}

impl Default for Exports {
    fn default() -> Self {
        Self {
            funcs: [None; Callback::ALL.len()],
            two_parameters: 0,
        }
    }
}

impl Exports {
    pub fn resolve(instance: &mut GuestInstance<ProxyWasmState>, spec: &VmSpec) -> Self {
        let mut exports = Self::default();
        let abi = instance.kind().abi;
        for callback in Callback::ALL {
            if !spec.capabilities.allows_callback(*callback) || !callback.is_in(abi) {
                continue;
            }
            let index = *callback as usize;
            exports.funcs[index] = instance.func(callback.name(), callback.signature(AbiVersion::V0_2_1));
            if exports.funcs[index].is_none() && is_headers(*callback) {
                // The exports count, not the marker: SDKs mix them.
                exports.funcs[index] = instance.func(callback.name(), callback.signature(AbiVersion::V0_1_0));
                exports.two_parameters |= u64::from(exports.funcs[index].is_some()) << index;
            }
        }
        exports
    }

    pub const fn func(&self, callback: Callback) -> Option<FuncId> {
        self.funcs[callback as usize]
    }

    pub const fn has(&self, callback: Callback) -> bool {
        self.func(callback).is_some()
    }

    /// The arguments that a callback takes: headers callbacks of ABI 0.1.0 lack the last.
    #[inline]
    pub fn args<'a>(&self, callback: Callback, args: &'a [u32]) -> &'a [u32] {
        match args {
            [first @ .., _]
                if self.two_parameters != 0 && self.two_parameters >> callback as u32 & 1 == 1 =>
            {
                first
            }
            _ => args,
        }
    }
}

const fn is_headers(callback: Callback) -> bool {
    matches!(callback, Callback::RequestHeaders | Callback::ResponseHeaders)
}
