//! WasmEdge's errors as traps of the seam.

use weir_engine::{InstantiateError, Trap, TrapKind};
use weir_engine_support::{GuestFault, MemoryGuard};

use crate::data::Data;
use crate::library::Outcome;

/// The trap that ended a call.
pub(crate) fn take(outcome: Outcome, data: &mut Data) -> Trap {
    if let Some(trap) = data.ended.take_trap() {
        return trap;
    }
    let text = data.module.library.text_of(outcome);
    Trap::new(kind(&text, &data.guard))
}

/// Why there is no instance, in WasmEdge's words.
pub(crate) fn refused(text: String) -> InstantiateError {
    match text.as_str() {
        "data segment does not fit" | "out of bounds memory access" => {
            GuestFault::MemoryOutOfBounds.at_start()
        }
        "elements segment does not fit" | "out of bounds table access" => {
            GuestFault::TableOutOfBounds.at_start()
        }
        _ => InstantiateError::Other(text),
    }
}

fn kind(text: &str, guard: &MemoryGuard) -> TrapKind {
    // Newer versions bound their stack by themselves, and may come before the module's own bound.
    if text == "call stack exhausted" {
        return TrapKind::StackOverflow;
    }
    TrapKind::Guest(guard.explain(GuestFault::reworded(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_wasmedge_become_those_of_the_seam() {
        let guard = MemoryGuard::new(1 << 20);
        let words = |text| match kind(text, &guard) {
            TrapKind::Guest(words) => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(words("undefined element"), GuestFault::TableOutOfBounds.words());
        assert_eq!(
            words("integer divide by zero"),
            GuestFault::DivisionByZero.words()
        );
        assert_eq!(words("something new"), "something new");
        assert_eq!(kind("call stack exhausted", &guard), TrapKind::StackOverflow);
        assert!(matches!(
            refused("data segment does not fit".to_owned()),
            InstantiateError::Start(_)
        ));
        assert!(matches!(
            refused("unknown import".to_owned()),
            InstantiateError::Other(_)
        ));
    }
}
