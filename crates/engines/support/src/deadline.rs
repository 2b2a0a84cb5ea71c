//! The end of a guest's time.

use std::time::Duration;

use weir_engine::CpuBudget;

use crate::stamp::CallNumber;
use crate::{Ticker, thread_cpu_time};

/// A backend's treatment of a guest at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Lets it run on.
    Continue,
    /// Stops it with [`TrapKind::Deadline`](weir_engine::TrapKind::Deadline).
    Expired,
}

/// The CPU budget of one call into a guest, nested calls of its allocator included.
///
/// Entering the guest reads no clock, since that clock costs a system call and nearly all calls end long before the
/// first tick. The ticker reads the clock of the thread at the first tick of the call, wherever the thread is then, and the
/// thread itself reads it at every tick that it notices. A guest may thus use up to one tick more than its budget, and
/// another until the tick that stops it. Time in host functions counts.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    budget: CpuBudget,
    call: CallNumber,
    /// The thread's CPU time at the first tick.
    baseline: Option<Duration>,
    /// The beat at which [`Deadline::poll`] looked last.
    beat: u64,
}

impl Deadline {
    /// A call begins that may use `budget`.
    #[inline]
    pub fn start(budget: CpuBudget) -> Self {
        Self {
            budget,
            call: CallNumber::next(),
            baseline: None,
            beat: Ticker::beats(),
        }
    }

    /// A tick was noticed inside the call, on the thread that makes it.
    pub fn tick(&mut self) -> Verdict {
        self.tick_at(thread_cpu_time())
    }

    /// As [`Deadline::tick`], after a host function, which no tick interrupts, and for runtimes that are not told of ticks:
    /// costs nothing unless the ticker has beaten since.
    #[inline]
    pub fn poll(&mut self) -> Verdict {
        let beat = Ticker::beats();
        if beat == std::mem::replace(&mut self.beat, beat) {
            Verdict::Continue
        } else {
            self.tick()
        }
    }

    fn tick_at(&mut self, now: Duration) -> Verdict {
        let baseline = *self
            .baseline
            .get_or_insert_with(|| self.call.first_beat().unwrap_or(now));
        let spent = now.saturating_sub(baseline);
        if spent >= self.budget.0 {
            CpuBudget::note_spent(spent);
            Verdict::Expired
        } else {
            Verdict::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_first_tick() {
        let mut deadline = Deadline::start(CpuBudget(Duration::from_millis(100)));
        let at = |ms: u64| Duration::from_millis(5_000 + ms);
        deadline.baseline = Some(at(0));
        assert_eq!(deadline.tick_at(at(0)), Verdict::Continue);
        assert_eq!(deadline.tick_at(at(10)), Verdict::Continue);
        assert_eq!(deadline.tick_at(at(99)), Verdict::Continue);
        assert_eq!(CpuBudget::take_spent(), None);
        assert_eq!(deadline.tick_at(at(100)), Verdict::Expired);
        assert_eq!(deadline.tick_at(at(110)), Verdict::Expired);
        assert_eq!(CpuBudget::take_spent(), Some(Duration::from_millis(110)));
    }

    #[test]
    fn a_busy_machine_does_not_count() {
        let mut deadline = Deadline::start(CpuBudget(Duration::from_millis(1)));
        deadline.baseline = Some(Duration::from_secs(7));
        for _ in 0..1_000 {
            // Ticks pass while the thread waits for a processor: its CPU time stands still.
            assert_eq!(deadline.tick_at(Duration::from_secs(7)), Verdict::Continue);
        }
    }

    #[test]
    fn time_before_the_first_look_counts() {
        let budget = Duration::from_secs(5);
        let mut deadline = Deadline::start(CpuBudget(budget));
        // The thread is inside a host function at the first tick, and looks long after.
        crate::stamp::beat();
        assert_eq!(deadline.tick_at(thread_cpu_time() + budget), Verdict::Expired);
    }
}
