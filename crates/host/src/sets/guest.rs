//! The host's state of a guest: a part that import sets share, and a part of the guest's kind.

use std::any::Any;
use std::sync::Arc;

use weir_abi::{LogLevel, Status};
use weir_account::Account;
use weir_engine::HostState;

use super::output::{StandardStream, Written};
use super::{Gate, SetStates, StreamStates};
use crate::VmSpec;

/// A kind of guests, as far as import sets need to know it: Proxy-Wasm modules are one. The value is the state that the
/// host keeps for one guest of the kind.
pub trait GuestKind: Send + Sized + 'static {
    /// Returns the name of the entry point that is running, for messages.
    fn running(&self) -> &'static str;

    /// Writes a line of the guest to the log. The kind bounds how many.
    fn log(&mut self, level: LogLevel, line: &[u8]);

    /// Writes a line of the host about the guest to the log.
    fn log_about(&self, level: LogLevel, text: &str);

    /// Writes the standard error of a guest's last call to the log, once the guest has died; perhaps nothing.
    fn log_last_words(&mut self, error: &[u8]) {
        if !error.is_empty() {
            self.log(LogLevel::Error, error);
        }
    }

    /// A call into the guest has returned.
    #[inline]
    fn call_returned(&mut self) {}

    /// Counts an import that answered `status`, which is no ordinary answer.
    fn hostcall_failed(&mut self, import: &'static str, status: Status) {
        let _ = (import, status);
    }

    /// Returns the states that sets keep for the stream that hostcalls mean; `None` outside of streams, and for a kind
    /// without them.
    fn stream_states(&mut self) -> Option<&mut StreamStates> {
        None
    }
}

/// The state that an instance carries for a guest of the kind `K`.
pub(crate) struct GuestState<K: GuestKind> {
    pub common: Common,
    /// The state of the kind.
    pub kind: K,
}

/// The part of a guest's state that is the same for every kind.
pub(crate) struct Common {
    /// Imports that answer now.
    pub gate: Gate,
    /// The states of the import sets.
    pub sets: SetStates,
    /// The bytes that the host holds for the guest.
    pub account: Arc<Account>,
    written: Written,
    pub(super) kind: &'static KindFunctions,
}

impl Common {
    /// Returns the name of an import, by the number of its capability.
    pub fn import_name(&self, number: usize) -> &'static str {
        let capability = self.sets.composition().capability(number);
        capability.map_or("?", |capability| capability.import)
    }
}

impl<K: GuestKind> GuestState<K> {
    /// Makes the state of a guest that is about to start.
    pub fn new(spec: &Arc<VmSpec>, sets: SetStates, account: Arc<Account>, kind: K) -> Self {
        Self {
            common: Common {
                gate: Gate::new(sets.composition(), &spec.capabilities),
                sets,
                account,
                written: Written::default(),
                kind: &KindFunctions {
                    running: |state| of::<K>(state).kind.running(),
                    log: |state, level, line| of::<K>(state).kind.log(level, line),
                    log_about: |state, level, text| of::<K>(state).kind.log_about(level, text),
                    write: |state, stream, text| of::<K>(state).write(stream, text),
                    hostcall_failed: |state, import, status| {
                        of::<K>(state).kind.hostcall_failed(import, status);
                    },
                    stream: |state| {
                        let state = of::<K>(state);
                        (&mut state.common.sets, state.kind.stream_states())
                    },
                },
            },
            kind,
        }
    }

    /// A call into the guest has returned: logs what the guest has written.
    #[inline]
    pub fn call_returned(&mut self) {
        self.log_written();
        self.kind.call_returned();
    }

    /// Logs what the guest has written by now: before a line that it logs itself, and when a call has returned.
    #[inline]
    pub fn log_written(&mut self) {
        if !self.common.written.is_empty() {
            let kind = &mut self.kind;
            self.common.written.log_all(|level, line| kind.log(level, line));
        }
    }

    /// Logs what a guest that has died wrote in its last call.
    pub fn log_last_words(&mut self) {
        let error = self.common.written.take_error();
        self.log_written();
        self.kind.log_last_words(&error);
    }

    fn write(&mut self, stream: StandardStream, text: &[u8]) {
        let kind = &mut self.kind;
        let written = &mut self.common.written;
        written.write(stream, text, |level, line| kind.log(level, line));
    }
}

impl<K: GuestKind> Drop for GuestState<K> {
    /// A guest whose instantiation fails has no other end.
    fn drop(&mut self) {
        self.log_last_words();
    }
}

impl<K: GuestKind> HostState for GuestState<K> {
    #[inline]
    fn common(&mut self) -> &mut dyn Any {
        &mut self.common
    }
}

/// The state of a guest whose kind is known.
#[inline]
pub(crate) fn of<K: GuestKind>(state: &mut dyn HostState) -> &mut GuestState<K> {
    let Some(state) = state.downcast_mut() else {
        unreachable!("`serve` and `GuestInstance` have seen that the guest is of this kind");
    };
    state
}

/// The functions of a [`GuestKind`], for import sets that do not know it.
pub(super) struct KindFunctions {
    pub running: fn(&mut dyn HostState) -> &'static str,
    pub log: fn(&mut dyn HostState, LogLevel, &[u8]),
    pub log_about: fn(&mut dyn HostState, LogLevel, &str),
    pub write: fn(&mut dyn HostState, StandardStream, &[u8]),
    pub hostcall_failed: fn(&mut dyn HostState, &'static str, Status),
    pub stream: fn(&mut dyn HostState) -> (&mut SetStates, Option<&mut StreamStates>),
}
