//! Bounds of one instance.

use crate::CpuBudget;

/// Linear memory that a guest may use unless configured otherwise.
pub const DEFAULT_MEMORY_LIMIT: usize = weir_abi::limits::MEMORY;

/// Stack of a guest that runs on the thread's own stack, as compiled code does. Threads of Traffic Server have 1 MiB in all, so
/// half of that leaves the server its share. A runtime that keeps the guest's stack elsewhere has a bound of its own.
pub const STACK_LIMIT: usize = 512 << 10;

/// Bounds of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories together.
    pub memory: usize,
    /// CPU time of the wasm start section.
    pub start_budget: CpuBudget,
}
