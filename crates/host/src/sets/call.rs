//! A hostcall under way: the guest's memory, the VM's state, and the rules for pointers.

use std::any::Any;

use weir_abi::{LogLevel, Status};
use weir_engine::{Caller, Trap};

use crate::state::VmState;

/// Why a hostcall does not answer Ok.
pub(crate) enum Fault {
    /// The guest gets this status.
    Status(Status),
    /// The guest is stopped.
    Trap(Trap),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Trap> for Fault {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

/// A hostcall under way.
pub(crate) struct Call<'a> {
    caller: &'a mut dyn Caller,
    bit: u32,
}

impl<'a> Call<'a> {
    pub fn new(caller: &'a mut dyn Caller, bit: u32) -> Self {
        Self { caller, bit }
    }

    /// The guest's memory and the VM's state, side by side.
    #[inline]
    pub fn parts(&mut self) -> (&mut [u8], &mut VmState) {
        let (memory, state) = self.caller.parts();
        (memory, vm_state(state))
    }

    /// The VM's state.
    #[inline]
    pub fn state(&mut self) -> &mut VmState {
        vm_state(self.caller.state())
    }

    /// The memory that (`pointer`, `len`) means, and the VM's state.
    #[inline]
    pub fn read(&mut self, pointer: u32, len: u32) -> Result<(&[u8], &mut VmState), Status> {
        let (memory, state) = self.parts();
        Ok((slice(memory, pointer, len)?, state))
    }

    /// Checks that outputs of 4 bytes can be written. Done before any side effect.
    #[inline]
    pub fn check_outputs(&mut self, pointers: &[u32]) -> Result<(), Status> {
        let (memory, _) = self.parts();
        for pointer in pointers {
            slice(memory, *pointer, 4)?;
        }
        Ok(())
    }

    /// Writes a number through an output pointer.
    #[inline]
    pub fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Status> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Writes bytes through an output pointer.
    #[inline]
    pub fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        slice_mut(self.parts().0, pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Memory of `len` bytes that the guest allocates and will free, filled by `fill`; its address and length go through
    /// the output pointers. Nothing is allocated for nothing: then both are 0.
    pub fn give(
        &mut self,
        data_pointer: u32,
        len_pointer: u32,
        len: usize,
        fill: impl FnOnce(&mut VmState, &mut [u8]),
    ) -> Result<(), Fault> {
        let Ok(size) = u32::try_from(len) else {
            return Err(Status::InternalFailure.into());
        };
        let pointer = if size == 0 { 0 } else { self.allocate(size)? };
        let (memory, state) = self.parts();
        if size != 0 {
            // A pointer outside of memory means a broken allocator: nothing that follows could be trusted.
            let Ok(target) = slice_mut(memory, pointer, size) else {
                return Err(Trap::host(format!(
                    "the guest's allocator returned {pointer:#x} for {size} bytes, which is outside of its memory"
                ))
                .into());
            };
            fill(state, target);
        }
        for (out, value) in [(data_pointer, pointer), (len_pointer, size)] {
            slice_mut(memory, out, 4)?.copy_from_slice(&value.to_le_bytes());
        }
        Ok(())
    }

    /// Gives the guest what lies in the state's scratch buffer.
    #[inline]
    pub fn give_scratch(&mut self, data_pointer: u32, len_pointer: u32) -> Result<(), Fault> {
        let len = self.state().scratch.len();
        self.give(data_pointer, len_pointer, len, |state, out| {
            out.copy_from_slice(&state.scratch)
        })
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Fault> {
        let state = self.state();
        let open = state.open;
        state.open = open.allocating();
        let pointer = self.caller.allocate(size);
        self.state().open = open;
        match pointer? {
            0 => Err(Trap::host(format!("the guest's allocator has no {size} bytes left")).into()),
            pointer => Ok(pointer),
        }
    }

    /// Logs a warning about this hostcall, once in the life of the VM.
    #[cold]
    pub fn warn_once(&mut self, message: impl FnOnce() -> String) {
        let bit = 1 << self.bit;
        let state = self.state();
        if state.warned & bit == 0 {
            state.warned |= bit;
            state.log(LogLevel::Warn, message().as_bytes());
        }
    }

    /// Refuses something that SDKs take for impossible: `BadArgument` where the VM is strict, else Ok and one warning,
    /// because the Rust SDK panics on it.
    #[cold]
    pub fn lenient(&mut self, reason: &str) -> Result<(), Fault> {
        if self.state().spec.strict {
            return Err(Status::BadArgument.into());
        }
        let name = crate::gate::name(self.bit);
        self.warn_once(|| format!("{name}: {reason}; nothing was changed (further ones are not reported)"));
        Ok(())
    }
}

#[inline]
fn vm_state(state: &mut dyn Any) -> &mut VmState {
    let Some(state) = state.downcast_mut() else {
        unreachable!("every instance of the host carries a VmState");
    };
    state
}

/// The part of `memory` that (`pointer`, `len`) means: the one place where a guest's pointers are checked.
#[inline]
pub(crate) fn slice(memory: &[u8], pointer: u32, len: u32) -> Result<&[u8], Status> {
    range(pointer, len)
        .and_then(|range| memory.get(range))
        .ok_or(Status::InvalidMemoryAccess)
}

/// As [`slice`], to write.
#[inline]
pub(crate) fn slice_mut(memory: &mut [u8], pointer: u32, len: u32) -> Result<&mut [u8], Status> {
    range(pointer, len)
        .and_then(|range| memory.get_mut(range))
        .ok_or(Status::InvalidMemoryAccess)
}

#[inline]
fn range(pointer: u32, len: u32) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(pointer).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    Some(start..end)
}
