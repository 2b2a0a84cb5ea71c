//! Tools for backends of the engine seam, and the rules that hold in each of them.
//!
//! - Bounds of a guest: [`Deadline`] with the [`Ticker`], [`MemoryGuard`].
//! - Rules at the border: [`resolve_imports`], [`Exports`], [`Allocator`], [`Ended`], and the words of a [`GuestFault`].
//! - Modules that a backend changes before its runtime sees them: [`ModuleParts`] takes one apart, [`ModuleWriter`] writes
//!   it anew, metered ([`ModuleWriter::meter`]) where nothing else can stop the guest.
//! - Libraries and programs that lie beside Weir: [`Companion`]; compilers in processes of their own: [`run_compiler`].
#![deny(unsafe_code)]

mod allocator;
mod companion;
mod compiler_process;
mod cpu_clock;
mod deadline;
mod ended;
mod exports;
mod guest_fault;
mod imports;
mod memory_guard;
mod module;
mod stamp;
mod ticker;

pub use allocator::Allocator;
pub use companion::{Companion, root_cause};
pub use compiler_process::{
    CompilerBounds, CompilerFailure, FAULTY, NOT_COMPILED, NOT_USABLE, confine, run_compiler,
};
pub use cpu_clock::{ThreadClock, thread_cpu_time};
pub use deadline::{Deadline, Verdict};
pub use ended::{Ended, guarded};
pub use exports::{Export, Exports, MAX_ARGUMENTS, is_callable, wrong_arguments};
pub use guest_fault::GuestFault;
pub use imports::{ImportKind, resolve_imports};
pub use memory_guard::{MemoryGuard, TABLE_LIMIT};
pub use module::{
    DEPTH, ExportedFunctions, FUEL, MAX_DEPTH, ModuleParts, ModuleWriter, PAGE, Pace, START_EXPORT, Stack,
    invalid,
};
pub use ticker::{TICK, Ticker};
