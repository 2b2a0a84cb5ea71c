//! CPU time as a budget.

use std::time::Duration;

/// CPU time of the calling thread that one call into a guest may use.
///
/// CPU time and not wall-clock time, so that a guest is not stopped because the machine was busy with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuBudget(pub Duration);
