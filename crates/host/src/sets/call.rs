//! A hostcall under way: the guest's memory, the host's state, and the rules for pointers.

use std::marker::PhantomData;
use std::sync::Arc;

use weir_abi::{LogLevel, Status};
use weir_account::Account;
use weir_engine::{Caller, HostState, Trap};

use super::composition::{capability_of, set_of};
use super::guest::{Common, GuestState, KindFunctions, of};
use super::output::StandardStream;
use super::{GuestKind, ImportSet, Phases};

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

/// A hostcall under way, of a guest of whatever kind.
pub struct RawCall<'a> {
    caller: &'a mut dyn Caller,
    id: u32,
}

impl<'a> RawCall<'a> {
    #[inline]
    pub(super) fn new(caller: &'a mut dyn Caller, id: u32) -> Self {
        Self { caller, id }
    }

    #[inline]
    fn memory(&mut self) -> &mut [u8] {
        self.caller.parts().0
    }

    /// The part of the guest's state that every kind has.
    #[inline]
    fn common(&mut self) -> &mut Common {
        common(self.caller.state())
    }

    /// The functions of the guest's kind, and the state that they take.
    fn kind(&mut self) -> (&'static KindFunctions, &mut dyn HostState) {
        (self.common().kind, self.caller.state())
    }

    /// Checks that outputs of 4 bytes can be written. Done before any side effect.
    #[inline]
    fn check_outputs(&mut self, pointers: &[u32]) -> Result<(), Status> {
        let memory = self.memory();
        for pointer in pointers {
            slice(memory, *pointer, 4)?;
        }
        Ok(())
    }

    /// Writes bytes through an output pointer.
    #[inline]
    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        slice_mut(self.memory(), pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Memory of `len` bytes that the guest allocates and will free, filled by `fill`; its address and length go through
    /// the output pointers. Nothing is allocated for nothing: then both are 0. `common` finds the common part of the state.
    #[inline]
    fn give(
        &mut self,
        data_pointer: u32,
        len_pointer: u32,
        len: usize,
        common: fn(&mut dyn HostState) -> &mut Common,
        fill: impl FnOnce(&mut dyn HostState, &mut [u8]),
    ) -> Result<(), Fault> {
        let Ok(size) = u32::try_from(len) else {
            return Err(Status::InternalFailure.into());
        };
        let pointer = if size == 0 {
            0
        } else {
            self.allocate(size, common)?
        };
        let (memory, state) = self.caller.parts();
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

    #[inline]
    fn allocate(&mut self, size: u32, common: fn(&mut dyn HostState) -> &mut Common) -> Result<u32, Fault> {
        let phase = common(self.caller.state()).gate.enter(Phases::ALLOCATION);
        let pointer = self.caller.allocate(size);
        common(self.caller.state()).gate.enter(phase);
        match pointer? {
            0 => Err(Trap::host(format!("the guest's allocator has no {size} bytes left")).into()),
            pointer => Ok(pointer),
        }
    }

    /// Returns the name of the import that was called.
    pub(crate) fn import_name(&mut self) -> &'static str {
        let number = capability_of(self.id);
        self.common().import_name(number)
    }

    /// Refuses the call: with `refusal` where the capability is not allowed, with a trap where the phase is wrong.
    #[cold]
    pub(super) fn refuse(&mut self, refusal: u64) -> Result<u64, Trap> {
        let number = capability_of(self.id);
        let name = self.import_name();
        if self.common().gate.is_allowed(number) {
            let (kind, state) = self.kind();
            return Err(Trap::host(format!(
                "{name} may not be called in this phase ({})",
                (kind.running)(state)
            )));
        }
        self.count_failure(Status::InternalFailure);
        self.warn_once(|| format!("{name} is not among the allowed capabilities of this plugin"));
        Ok(refusal)
    }

    /// Stops a guest whose kind the import does not serve.
    #[cold]
    pub(super) fn refuse_kind() -> Trap {
        Trap::host("the guest is of another kind than the import serves")
    }

    /// Counts a status for the guest, unless the status is an ordinary answer.
    #[cold]
    pub(super) fn count_failure(&mut self, status: Status) {
        if matches!(status, Status::NotFound | Status::Empty | Status::CasMismatch) {
            return;
        }
        let name = self.import_name();
        let (kind, state) = self.kind();
        (kind.hostcall_failed)(state, name, status);
    }

    /// Logs a warning about this hostcall, once in the life of the VM.
    #[cold]
    fn warn_once(&mut self, message: impl FnOnce() -> String) {
        let number = capability_of(self.id);
        if self.common().gate.is_first_warning(number) {
            let (kind, state) = self.kind();
            (kind.log_about)(state, LogLevel::Warn, &message());
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        let (kind, state) = self.kind();
        (kind.log)(state, level, message);
    }
}

/// A hostcall under way that serves guests of the kind `K`, with all of the state of that kind.
pub(crate) struct GuestCall<'a, K> {
    raw: RawCall<'a>,
    kind: PhantomData<fn() -> K>,
}

impl<K: GuestKind> GuestCall<'_, K> {
    /// The guest's memory and the state of its kind, side by side.
    #[inline]
    pub fn parts(&mut self) -> (&mut [u8], &mut K) {
        let (memory, state) = self.raw.caller.parts();
        (memory, &mut of(state).kind)
    }

    /// The state of the guest's kind.
    #[inline]
    pub fn state(&mut self) -> &mut K {
        &mut self.guest().kind
    }

    /// The whole state of the guest.
    #[inline]
    pub fn guest(&mut self) -> &mut GuestState<K> {
        of(self.raw.caller.state())
    }

    /// The memory that (`pointer`, `len`) means, and the state of the guest's kind.
    #[inline]
    pub fn read(&mut self, pointer: u32, len: u32) -> Result<(&[u8], &mut K), Status> {
        let (memory, state) = self.parts();
        Ok((slice(memory, pointer, len)?, state))
    }

    /// Checks that outputs of 4 bytes can be written. Done before any side effect.
    #[inline]
    pub fn check_outputs(&mut self, pointers: &[u32]) -> Result<(), Status> {
        self.raw.check_outputs(pointers)
    }

    /// Writes a number through an output pointer.
    #[inline]
    pub fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Status> {
        self.raw.write(pointer, &value.to_le_bytes())
    }

    /// Writes bytes through an output pointer.
    #[inline]
    pub fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        self.raw.write(pointer, bytes)
    }

    /// Memory of `len` bytes that the guest allocates and will free, filled by `fill`; its address and length go through
    /// the output pointers. Nothing is allocated for nothing: then both are 0.
    #[inline]
    pub fn give(
        &mut self,
        data_pointer: u32,
        len_pointer: u32,
        len: usize,
        fill: impl FnOnce(&mut K, &mut [u8]),
    ) -> Result<(), Fault> {
        self.raw.give(
            data_pointer,
            len_pointer,
            len,
            |state| &mut of::<K>(state).common,
            |state, target| fill(&mut of(state).kind, target),
        )
    }

    /// Returns the name of the import that was called.
    pub fn import_name(&mut self) -> &'static str {
        self.raw.import_name()
    }

    /// Logs a warning about this hostcall, once in the life of the VM.
    #[cold]
    pub fn warn_once(&mut self, message: impl FnOnce() -> String) {
        self.raw.warn_once(message);
    }
}

/// A call of an import of the set `S`: the guest's memory, the set's states, and what every set may do.
///
/// An import reaches the states of its set by the set's index, which the composition has resolved; nothing is looked up by
/// name.
pub struct SetCall<'a, S> {
    call: RawCall<'a>,
    set: PhantomData<fn() -> S>,
}

/// The view that the function behind an import has of a call.
#[doc(hidden)]
pub trait Frame<'a> {
    /// The frame of a call.
    fn of(call: RawCall<'a>) -> Self;

    /// The call.
    fn call(&mut self) -> &mut RawCall<'a>;

    /// True if the import answers now; `None` for a guest whose kind it does not serve.
    fn is_open(&mut self) -> Option<bool>;
}

impl<'a, K: GuestKind> Frame<'a> for GuestCall<'a, K> {
    #[inline]
    fn of(raw: RawCall<'a>) -> Self {
        Self {
            raw,
            kind: PhantomData,
        }
    }

    #[inline]
    fn call(&mut self) -> &mut RawCall<'a> {
        &mut self.raw
    }

    #[inline]
    fn is_open(&mut self) -> Option<bool> {
        let number = capability_of(self.raw.id);
        let state: &mut GuestState<K> = self.raw.caller.state().downcast_mut()?;
        Some(state.common.gate.is_open(number))
    }
}

impl<'a, S> Frame<'a> for SetCall<'a, S> {
    #[inline]
    fn of(call: RawCall<'a>) -> Self {
        Self {
            call,
            set: PhantomData,
        }
    }

    #[inline]
    fn call(&mut self) -> &mut RawCall<'a> {
        &mut self.call
    }

    #[inline]
    fn is_open(&mut self) -> Option<bool> {
        let number = capability_of(self.call.id);
        let common: &mut Common = self.call.caller.state().common().downcast_mut()?;
        Some(common.gate.is_open(number))
    }
}

impl<S: ImportSet> SetCall<'_, S> {
    /// The set itself: what was configured once in the process.
    pub fn set(&mut self) -> &'static S {
        let index = set_of(self.call.id);
        self.call.common().sets.of::<S>(index).0
    }

    /// The set's state in this VM.
    pub fn vm(&mut self) -> &mut S::Vm {
        self.memory_and_vm().1
    }

    /// The account of what the host holds for the guest. A set charges there before it copies what the guest makes it hold.
    pub fn account(&mut self) -> &Arc<Account> {
        &self.call.common().account
    }

    /// The guest's whole memory.
    pub fn memory(&mut self) -> &mut [u8] {
        self.call.memory()
    }

    /// The guest's whole memory and the set's state in this VM, side by side.
    pub fn memory_and_vm(&mut self) -> (&mut [u8], &mut S::Vm) {
        let (memory, state) = self.call.caller.parts();
        let (_, vm) = common(state).sets.of::<S>(set_of(self.call.id));
        (memory, vm)
    }

    /// The set's state in the stream whose context is effective, built when it is first asked for; `None` outside of
    /// streams.
    pub fn stream(&mut self) -> Option<&mut S::Stream> {
        let index = set_of(self.call.id);
        let (kind, state) = self.call.kind();
        let (sets, stream) = (kind.stream)(state);
        let (set, vm) = sets.of::<S>(index);
        Some(stream?.get_or_make(index, || set.stream(vm)))
    }

    /// The memory that (`pointer`, `len`) means.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidMemoryAccess`]: it is not all inside the guest's memory.
    pub fn read(&mut self, pointer: u32, len: u32) -> Result<&[u8], Status> {
        slice(self.call.memory(), pointer, len)
    }

    /// The memory that (`pointer`, `len`) means, to be written to.
    ///
    /// # Errors
    ///
    /// As [`SetCall::read`].
    pub fn read_mut(&mut self, pointer: u32, len: u32) -> Result<&mut [u8], Status> {
        slice_mut(self.call.memory(), pointer, len)
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
            .give(data_pointer, len_pointer, bytes.len(), common, |_, target| {
                target.copy_from_slice(bytes);
            })
    }

    /// Writes a line to the log, under the name of the plugin whose context is effective.
    pub fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.call.log(level, message);
    }

    /// Writes to a standard stream of the guest.
    pub(crate) fn write_standard(&mut self, stream: StandardStream, text: &[u8]) {
        let (kind, state) = self.call.kind();
        (kind.write)(state, stream, text);
    }

    /// Logs a warning about this import, once in the life of the VM.
    pub fn warn_once(&mut self, message: impl FnOnce() -> String) {
        self.call.warn_once(message);
    }
}

/// The common part of a guest's state.
#[inline]
fn common(state: &mut dyn HostState) -> &mut Common {
    let Some(common) = state.common().downcast_mut() else {
        unreachable!("`serve` has seen that the instance carries a `GuestState`");
    };
    common
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
