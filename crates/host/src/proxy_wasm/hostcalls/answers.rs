//! Answers that hostcalls of Proxy-Wasm have in common.

use std::fmt;

use weir_abi::Status;
use weir_account::Full;

use super::Call;
use crate::sets::{Fault, GuestKind};

/// A VM keeps a scratch buffer of this many bytes between hostcalls; larger ones are given back.
const KEPT_SCRATCH: usize = 64 << 10;

impl Call<'_> {
    /// Gives the guest the bytes in the state's scratch buffer.
    #[inline]
    pub fn give_scratch(&mut self, data_pointer: u32, len_pointer: u32) -> Result<(), Fault> {
        let len = self.state().scratch.len();
        self.give(data_pointer, len_pointer, len, |state, out| {
            out.copy_from_slice(&state.scratch);
            // Nobody pays for the buffer.
            if len > KEPT_SCRATCH {
                state.scratch = Vec::new();
            }
        })
    }

    /// Answers `InternalFailure`, which SDKs expect of the hostcall, because the host holds no more for the VM; one warning.
    #[cold]
    pub fn no_room(&mut self, full: Full) -> Fault {
        let name = self.import_name();
        self.warn_once(|| format!("{name}: {full}, so the call was refused (further ones are not reported)"));
        Status::InternalFailure.into()
    }

    /// Answers Ok without effect, because a limit has been reached and SDKs take no other answer from the hostcall; counted, and
    /// one warning. `InternalFailure` where the VM is strict.
    #[cold]
    pub fn dropped(&mut self, reason: impl fmt::Display) -> Result<(), Fault> {
        let name = self.import_name();
        let strict = self.state().spec.strict;
        if !strict {
            self.state().hostcall_failed(name, Status::InternalFailure);
        }
        self.warn_once(|| format!("{name}: {reason} (further ones are not reported)"));
        if strict {
            return Err(Status::InternalFailure.into());
        }
        Ok(())
    }

    /// Refuses something that SDKs take for impossible: `BadArgument` where the VM is strict, else Ok and one warning,
    /// because the Rust SDK panics on it.
    #[cold]
    pub fn lenient(&mut self, reason: &str) -> Result<(), Fault> {
        if self.state().spec.strict {
            return Err(Status::BadArgument.into());
        }
        let name = self.import_name();
        self.warn_once(|| format!("{name}: {reason}; nothing was changed (further ones are not reported)"));
        Ok(())
    }
}
