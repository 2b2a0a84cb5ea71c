//! CPU time as a budget.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// CPU time that the call had used when this thread stopped a guest last, until somebody asks.
    static SPENT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// CPU time of the calling thread that one call into a guest may use.
///
/// CPU time and not wall-clock time, so that a guest is not stopped because the machine was busy with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuBudget(pub Duration);

impl CpuBudget {
    /// Notes that a guest is stopped on this thread after it has used at least `spent`. A backend that reads the clock says so
    /// before it answers with [`TrapKind::Deadline`](crate::TrapKind::Deadline).
    pub fn note_spent(spent: Duration) {
        SPENT.set(Some(spent));
    }

    /// Returns the CPU time that the guest which was stopped last on this thread had used at least. `None` where its runtime
    /// counts instructions instead, and once the answer has been given.
    pub fn take_spent() -> Option<Duration> {
        SPENT.take()
    }
}
