//! A hostcall under way: the guest's memory, the VM's state, and the rules for pointers.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use weir_abi::{LogLevel, Status};
use weir_account::Full;
use weir_engine::{Caller, Trap};

use super::composition::{capability_of, set_of};
use super::{ImportSet, Phases};
use crate::proxy_wasm::{GuestState, StandardStream, VmState};

/// A VM keeps a scratch buffer of this many bytes between hostcalls; larger ones are given back.
const KEPT_SCRATCH: usize = 64 << 10;

/// Why a hostcall does not answer Ok.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
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

/// A hostcall under way, as the host's own sets see it: with all of the VM's state.
pub struct Call<'a> {
    caller: &'a mut dyn Caller,
    id: u32,
}

impl<'a> Call<'a> {
    #[inline]
    pub(super) fn new(caller: &'a mut dyn Caller, id: u32) -> Self {
        Self { caller, id }
    }

    /// The guest's memory and the state of Proxy-Wasm, side by side.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut VmState) {
        let (memory, state) = self.caller.parts();
        (memory, &mut guest_state(state).vm)
    }

    /// The state of Proxy-Wasm.
    #[inline]
    pub(crate) fn state(&mut self) -> &mut VmState {
        &mut self.guest().vm
    }

    #[inline]
    fn guest(&mut self) -> &mut GuestState {
        guest_state(self.caller.state())
    }

    /// The memory that (`pointer`, `len`) means, and the state of Proxy-Wasm.
    #[inline]
    pub(crate) fn read(&mut self, pointer: u32, len: u32) -> Result<(&[u8], &mut VmState), Status> {
        let (memory, state) = self.parts();
        Ok((slice(memory, pointer, len)?, state))
    }

    /// Checks that outputs of 4 bytes can be written. Done before any side effect.
    #[inline]
    pub(crate) fn check_outputs(&mut self, pointers: &[u32]) -> Result<(), Status> {
        let (memory, _) = self.caller.parts();
        for pointer in pointers {
            slice(memory, *pointer, 4)?;
        }
        Ok(())
    }

    /// Writes a number through an output pointer.
    #[inline]
    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Status> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Writes bytes through an output pointer.
    #[inline]
    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        slice_mut(self.caller.parts().0, pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Memory of `len` bytes that the guest allocates and will free, filled by `fill`; its address and length go through
    /// the output pointers. Nothing is allocated for nothing: then both are 0.
    #[inline]
    pub(crate) fn give(
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
    pub(crate) fn give_scratch(&mut self, data_pointer: u32, len_pointer: u32) -> Result<(), Fault> {
        let len = self.state().scratch.len();
        self.give(data_pointer, len_pointer, len, |state, out| {
            out.copy_from_slice(&state.scratch);
            // Nobody pays for the buffer.
            if len > KEPT_SCRATCH {
                state.scratch = Vec::new();
            }
        })
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Fault> {
        let phase = self.guest().gate.enter(Phases::ALLOCATION);
        let pointer = self.caller.allocate(size);
        self.guest().gate.enter(phase);
        match pointer? {
            0 => Err(Trap::host(format!("the guest's allocator has no {size} bytes left")).into()),
            pointer => Ok(pointer),
        }
    }

    /// True if the import answers now.
    #[inline]
    pub(super) fn is_open(&mut self) -> bool {
        let number = capability_of(self.id);
        self.guest().gate.is_open(number)
    }

    /// Refuses the call: with `refusal` where the capability is not allowed, with a trap where the phase is wrong.
    #[cold]
    pub(super) fn refuse(&mut self, refusal: u64) -> Result<u64, Trap> {
        let number = capability_of(self.id);
        let guest = self.guest();
        let name = guest.import_name(number);
        if guest.gate.is_allowed(number) {
            return Err(Trap::host(format!(
                "{name} may not be called in this phase ({})",
                guest.vm.callback
            )));
        }
        self.count_failure(Status::InternalFailure);
        self.warn_once(|| format!("{name} is not among the allowed capabilities of this plugin"));
        Ok(refusal)
    }

    /// Counts a status for the plugin, unless the status is an ordinary answer.
    #[cold]
    pub(super) fn count_failure(&mut self, status: Status) {
        if matches!(status, Status::NotFound | Status::Empty | Status::CasMismatch) {
            return;
        }
        let number = capability_of(self.id);
        let guest = self.guest();
        let name = guest.import_name(number);
        if let Some(plugin) = guest.vm.plugin() {
            plugin.meter.hostcall_failed(name, status);
        }
    }

    /// Logs a warning about this hostcall, once in the life of the VM.
    #[cold]
    pub(crate) fn warn_once(&mut self, message: impl FnOnce() -> String) {
        let number = capability_of(self.id);
        let guest = self.guest();
        if guest.gate.is_first_warning(number) {
            guest.vm.log_about(LogLevel::Warn, &message());
        }
    }

    /// Answers `InternalFailure`, which SDKs expect of the hostcall, because the host holds no more for the VM; one warning.
    #[cold]
    pub(crate) fn no_room(&mut self, full: Full) -> Fault {
        let number = capability_of(self.id);
        let name = self.guest().import_name(number);
        self.warn_once(|| format!("{name}: {full}, so the call was refused (further ones are not reported)"));
        Status::InternalFailure.into()
    }

    /// Answers Ok without effect, because a limit has been reached and SDKs take no other answer from the hostcall; counted, and
    /// one warning. `InternalFailure` where the VM is strict.
    #[cold]
    pub(crate) fn dropped(&mut self, reason: impl fmt::Display) -> Result<(), Fault> {
        let number = capability_of(self.id);
        let guest = self.guest();
        let name = guest.import_name(number);
        let strict = guest.vm.spec.strict;
        if let Some(plugin) = guest.vm.plugin().filter(|_| !strict) {
            plugin.meter.hostcall_failed(name, Status::InternalFailure);
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
    pub(crate) fn lenient(&mut self, reason: &str) -> Result<(), Fault> {
        let number = capability_of(self.id);
        let guest = self.guest();
        if guest.vm.spec.strict {
            return Err(Status::BadArgument.into());
        }
        let name = guest.import_name(number);
        self.warn_once(|| format!("{name}: {reason}; nothing was changed (further ones are not reported)"));
        Ok(())
    }
}

/// A call of an import of the set `S`: the guest's memory, the set's states, and what every set may do.
///
/// An import reaches the states of its set by the set's index, which the composition has resolved; nothing is looked up by
/// name.
pub struct SetCall<'a, S> {
    call: Call<'a>,
    set: PhantomData<fn() -> S>,
}

/// What the function behind an import gets of a call.
#[doc(hidden)]
pub trait Frame<'a> {
    /// The frame of a call.
    fn of(call: Call<'a>) -> Self;

    /// The call.
    fn call(&mut self) -> &mut Call<'a>;
}

impl<'a> Frame<'a> for Call<'a> {
    #[inline]
    fn of(call: Self) -> Self {
        call
    }

    #[inline]
    fn call(&mut self) -> &mut Self {
        self
    }
}

impl<'a, S> Frame<'a> for SetCall<'a, S> {
    #[inline]
    fn of(call: Call<'a>) -> Self {
        Self {
            call,
            set: PhantomData,
        }
    }

    #[inline]
    fn call(&mut self) -> &mut Call<'a> {
        &mut self.call
    }
}

impl<S: ImportSet> SetCall<'_, S> {
    /// The set itself: what was configured once in the process.
    pub fn set(&mut self) -> &'static S {
        let index = set_of(self.call.id);
        self.call.guest().sets.of::<S>(index).0
    }

    /// The set's state in this VM.
    pub fn vm(&mut self) -> &mut S::Vm {
        self.memory_and_vm().1
    }

    /// The guest's whole memory.
    pub fn memory(&mut self) -> &mut [u8] {
        self.call.caller.parts().0
    }

    /// The guest's whole memory and the set's state in this VM, side by side.
    pub fn memory_and_vm(&mut self) -> (&mut [u8], &mut S::Vm) {
        let (memory, state) = self.call.caller.parts();
        let (_, vm) = guest_state(state).sets.of::<S>(set_of(self.call.id));
        (memory, vm)
    }

    /// The set's state in the stream whose context is effective, built when it is first asked for; `None` outside of
    /// streams.
    pub fn stream(&mut self) -> Option<&mut S::Stream> {
        let index = set_of(self.call.id);
        let guest = self.call.guest();
        let context = guest.vm.streams.get_mut(&guest.vm.effective?)?;
        let (set, vm) = guest.sets.of::<S>(index);
        Some(context.sets.get_or_make(index, || set.stream(vm)))
    }

    /// The memory that (`pointer`, `len`) means.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidMemoryAccess`]: it is not all inside the guest's memory.
    pub fn read(&mut self, pointer: u32, len: u32) -> Result<&[u8], Status> {
        slice(self.call.caller.parts().0, pointer, len)
    }

    /// The memory that (`pointer`, `len`) means, to be written to.
    ///
    /// # Errors
    ///
    /// As [`SetCall::read`].
    pub fn read_mut(&mut self, pointer: u32, len: u32) -> Result<&mut [u8], Status> {
        slice_mut(self.call.caller.parts().0, pointer, len)
    }

    /// Writes bytes at an output pointer.
    ///
    /// # Errors
    ///
    /// As [`SetCall::read`]; then nothing is written.
    pub fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        self.call.write(pointer, bytes)
    }

    /// Copies `bytes` to memory that the guest's allocator returns and that the guest will free. Writes address and length
    /// through the output pointers; both are 0 for no bytes.
    ///
    /// # Errors
    ///
    /// A pointer that is not inside the guest's memory is a status, an allocator that fails is a trap.
    pub fn give(&mut self, data_pointer: u32, len_pointer: u32, bytes: &[u8]) -> Result<(), Fault> {
        // Before the guest allocates what it could not be told of.
        self.call.check_outputs(&[data_pointer, len_pointer])?;
        self.call
            .give(data_pointer, len_pointer, bytes.len(), |_, target| {
                target.copy_from_slice(bytes);
            })
    }

    /// Writes a line to the log, under the name of the plugin whose context is effective.
    pub fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.call.state().log(level, message);
    }

    /// Writes to a standard stream of the guest.
    pub(crate) fn write_standard(&mut self, stream: StandardStream, text: &[u8]) {
        self.call.state().write(stream, text);
    }

    /// Logs a warning about this import, once in the life of the VM.
    pub fn warn_once(&mut self, message: impl FnOnce() -> String) {
        self.call.warn_once(message);
    }
}

#[inline]
fn guest_state(state: &mut dyn Any) -> &mut GuestState {
    let Some(state) = state.downcast_mut() else {
        unreachable!("every instance of the host carries a GuestState");
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
