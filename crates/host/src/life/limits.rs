//! Bounds of a life.

use std::time::Duration;

use weir_abi::VmLimits;
use weir_engine::{CpuBudget, Limits, Trap, TrapKind};

use crate::Exceeded;

/// Bounds of one entry into a guest, by kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// A start function, or a callback that sets the guest up.
    pub start: Bound,
    /// Any other callback.
    pub callback: Bound,
}

/// The bound of the CPU time of one entry into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The CPU time.
    pub budget: CpuBudget,
    /// The key of a filter's document that sets the bound.
    key: &'static str,
}

impl Bound {
    /// Returns true if a call that took so many nanoseconds used three quarters of the budget, as far as the clock tells.
    #[inline]
    pub const fn is_near(&self, nanoseconds: u64) -> bool {
        nanoseconds as u128 * 4 >= self.budget.0.as_nanos() * 3 && nanoseconds > 0
    }

    /// The key of a filter's document that sets the bound.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Returns the bound as the limit that a guest has exceeded; `None` for a trap of another kind. Called once, on the thread
    /// on which the guest trapped.
    pub fn exceeded(&self, trap: &Trap) -> Option<Box<Exceeded>> {
        let exceeded = || {
            Box::new(Exceeded {
                key: self.key,
                limit: self.budget.0,
                // A runtime that reads no clock on this thread stops the guest when the limit is used up.
                used: CpuBudget::take_spent().unwrap_or(self.budget.0),
            })
        };
        (trap.kind == TrapKind::Deadline).then(exceeded)
    }
}

impl Budgets {
    /// Budgets of this much CPU time.
    pub const fn new(start: Duration, callback: Duration) -> Self {
        Self {
            start: Bound {
                budget: CpuBudget(start),
                key: "limits.start_deadline",
            },
            callback: Bound {
                budget: CpuBudget(callback),
                key: "limits.callback_deadline",
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_quarters_of_a_budget_are_near_its_end() {
        let bound = Budgets::new(Duration::from_secs(1), Duration::from_millis(100)).callback;
        assert!(!bound.is_near(0) && !bound.is_near(74_999_999));
        assert!(bound.is_near(75_000_000) && bound.is_near(u64::MAX));
    }
}
