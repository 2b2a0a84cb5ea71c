//! V8's errors as traps of the seam.

use std::ffi::{CStr, c_char, c_int};

use weir_engine::{Trap, TrapKind};
use weir_engine_support::{GuestFault, MemoryGuard};

use crate::data::Data;
use crate::library::ENDED;

/// Room for V8's words.
pub(crate) struct Message([c_char; 512]);

impl Message {
    pub fn new() -> Self {
        Self([0; 512])
    }

    pub fn place(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    pub fn room(&self) -> usize {
        self.0.len()
    }

    pub fn text(&self) -> String {
        // SAFETY: the library writes a NUL behind its words, and without words there are only NULs.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }
}

/// V8's words for each fault.
const FAULTS: [(&str, GuestFault); 10] = [
    ("unreachable", GuestFault::Unreachable),
    ("memory access out of bounds", GuestFault::MemoryOutOfBounds),
    ("data segment", GuestFault::MemoryOutOfBounds),
    ("table index is out of bounds", GuestFault::TableOutOfBounds),
    ("table initializer", GuestFault::TableOutOfBounds),
    (
        "null function or function signature mismatch",
        GuestFault::NullFunctionOrBadSignature,
    ),
    ("divide by zero", GuestFault::DivisionByZero),
    ("remainder by zero", GuestFault::DivisionByZero),
    ("divide result unrepresentable", GuestFault::IntegerOverflow),
    (
        "float unrepresentable in integer range",
        GuestFault::BadConversion,
    ),
];

/// The trap that ended a call.
pub(crate) fn take(outcome: c_int, message: &Message, data: &mut Data) -> Trap {
    if let Some(trap) = data.ended.take_trap() {
        return trap;
    }
    if outcome == ENDED {
        return Trap::host("the host ended the guest");
    }
    Trap::new(kind(&message.text(), &data.guard))
}

/// Returns true if V8's words are about code that ran, or about segments, which count as such.
pub(crate) fn is_trap(message: &str) -> bool {
    message.starts_with("RuntimeError") || message.starts_with("RangeError: Maximum call stack")
}

fn kind(message: &str, guard: &MemoryGuard) -> TrapKind {
    if message.contains("Maximum call stack size exceeded") {
        return TrapKind::StackOverflow;
    }
    match FAULTS.iter().find(|(words, _)| message.contains(words)) {
        Some((_, fault)) => guard.trap(*fault),
        None => TrapKind::Guest(guard.explain(message)),
    }
}
