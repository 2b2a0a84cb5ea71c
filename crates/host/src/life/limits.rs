//! Bounds of a life.

use std::time::Duration;

use weir_abi::VmLimits;
use weir_engine::{CpuBudget, Limits};

/// CPU time that one entry into a guest may use, by kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// A start function, or a callback that sets the guest up.
    pub start: CpuBudget,
    /// Any other callback.
    pub callback: CpuBudget,
}

impl Budgets {
    /// Budgets of this much CPU time.
    pub const fn new(start: Duration, callback: Duration) -> Self {
        Self {
            start: CpuBudget(start),
            callback: CpuBudget(callback),
        }
    }

    /// The budgets of a guest with these limits.
    pub const fn of(limits: &VmLimits) -> Self {
        Self::new(limits.start_deadline, limits.callback_deadline)
    }
}

/// The bounds of an instance with these limits.
pub fn instance_limits(limits: &VmLimits) -> Limits {
    Limits {
        memory: usize::try_from(limits.memory).unwrap_or(usize::MAX),
        start_budget: CpuBudget(limits.start_deadline),
    }
}
