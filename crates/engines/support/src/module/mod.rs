//! Modules that a backend changes before its runtime sees them.

mod body;
mod meter;
mod parts;
mod writer;

use std::fmt::Display;

use weir_engine::CompileError;

pub use meter::{DEPTH, FUEL, MAX_DEPTH, Pace, Stack};
pub use parts::{ExportedFunctions, ModuleParts, PAGE};
pub use writer::{ModuleWriter, START_EXPORT};

/// The refusal of a reader or writer of modules, as the seam's error.
pub fn invalid(error: impl Display) -> CompileError {
    CompileError::Invalid(error.to_string())
}
