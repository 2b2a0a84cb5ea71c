//! Faults that WebAssembly forbids, in words.

use weir_engine::{InstantiateError, Trap, TrapKind};

/// A guest's deed that WebAssembly forbids. Backends translate their own codes to these, so that a log line reads
/// the same on every runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestFault {
    /// The `unreachable` instruction: how a panic, an abort or a failed assertion ends.
    Unreachable,
    /// A load or store outside of the linear memory.
    MemoryOutOfBounds,
    /// An index outside of a table.
    TableOutOfBounds,
    /// A call through a table element that holds nothing: a null function pointer.
    NullFunction,
    /// A call through a function pointer of another type.
    BadSignature,
    /// One of the last two: some engines do not tell them apart.
    NullFunctionOrBadSignature,
    /// Division by zero.
    DivisionByZero,
    /// An integer operation whose result does not fit.
    IntegerOverflow,
    /// A float that is no integer, or none that fits.
    BadConversion,
}

impl GuestFault {
    /// The words for a fault of which a runtime speaks as the specification's tests do; other text as it is.
    pub fn reworded(text: &str) -> &str {
        Self::of_specification(text).map_or(text, |fault| fault.words())
    }

    fn of_specification(text: &str) -> Option<Self> {
        Some(match text {
            "unreachable" => Self::Unreachable,
            "out of bounds memory access" => Self::MemoryOutOfBounds,
            "out of bounds table access" | "undefined element" => Self::TableOutOfBounds,
            "uninitialized element" => Self::NullFunction,
            "indirect call type mismatch" => Self::BadSignature,
            "integer divide by zero" => Self::DivisionByZero,
            "integer overflow" => Self::IntegerOverflow,
            "invalid conversion to integer" => Self::BadConversion,
            _ => return None,
        })
    }

    /// Why there is no instance: a segment that does not fit is a trap by the specification.
    pub fn at_start(self) -> InstantiateError {
        InstantiateError::Start(Trap::new(TrapKind::Guest(self.words().to_owned())))
    }

    /// The words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable code reached (a panic or abort of the guest)",
            Self::MemoryOutOfBounds => "out of bounds memory access",
            Self::TableOutOfBounds => "out of bounds table access",
            Self::NullFunction => "call of a null function pointer",
            Self::BadSignature => "indirect call of a function with another type",
            Self::NullFunctionOrBadSignature => {
                "call of a null function pointer or of a function with another type"
            }
            Self::DivisionByZero => "integer division by zero",
            Self::IntegerOverflow => "integer overflow",
            Self::BadConversion => "invalid conversion of a float to an integer",
        }
    }
}
