//! The budget of time for what a VM does in the background: ticks, queue wake-ups, results that no stream waits for.
//!
//! The budget belongs to a slot, so that a VM that dies does not leave its debts behind. Time is counted as debt: an entry that
//! keeps the thread for `t` must be earned by the slot's share of the time that passes. A slot may be [`CPU_WINDOW`] in debt, then
//! its events are put off until the debt is that small again.
//!
//! Time is that of the clock, because other streams wait for as long as the thread is kept. The thread's CPU time is less where
//! the machine is busy, and such a machine is the last to need more work in the background.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_abi::limits::{CPU_WINDOW, CpuShare, LONG_ENTRY_WEIGHT, SHORT_ENTRY};

/// The shortest time between two warnings about one slot.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// The budget of a slot.
pub(crate) struct Background {
    share: CpuShare,
    /// The most that one entry is charged.
    longest: Duration,
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    /// When all that has been used will be earned.
    earned_at: Option<Instant>,
    /// When the pause after the last entry ends.
    rested_at: Option<Instant>,
    warned_at: Option<Instant>,
    /// Events put off since the last warning.
    unreported: u64,
}

/// An event that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PutOff {
    /// The time at which to ask again.
    pub until: Instant,
    /// The budget is used up; else the slot only pauses after a long entry.
    pub over_budget: bool,
}

impl Background {
    /// Makes the budget of VMs whose callbacks may use this much CPU time. An entry that seems to have taken more than a second and
    /// more than twice its deadline was stopped together with the process, and owes no more than that.
    pub fn new(share: CpuShare, callback_deadline: Duration) -> Self {
        Self {
            share,
            longest: CPU_WINDOW.max(callback_deadline.saturating_mul(2)),
            account: Mutex::default(),
        }
    }

    /// Returns the share of the thread.
    pub const fn share(&self) -> CpuShare {
        self.share
    }

    /// Returns false where the VM may use all of its thread, and nothing is to be counted.
    pub fn is_bounded(&self) -> bool {
        self.share != CpuShare::ALL
    }

    /// Asks whether an event may be delivered now.
    pub fn admit(&self, now: Instant) -> Result<(), PutOff> {
        let account = self.lock();
        let affordable = account.earned_at.and_then(|at| at.checked_sub(CPU_WINDOW));
        let over_budget = affordable.is_some_and(|at| at > now);
        match affordable.max(account.rested_at) {
            Some(until) if until > now => Err(PutOff { until, over_budget }),
            _ => Ok(()),
        }
    }

    /// An entry has kept the thread from `begun` until `now`.
    pub fn charge(&self, begun: Instant, now: Instant) {
        let used = now.saturating_duration_since(begun).min(self.longest);
        let mut account = self.lock();
        let long = used.saturating_sub(SHORT_ENTRY);
        let cost = used + long * (LONG_ENTRY_WEIGHT - 1);
        let from = account.earned_at.map_or(now, |at| at.max(now));
        account.earned_at = Some(from + self.share.time_for(cost));
        if !long.is_zero() {
            // Requests that have waited for the entry are served before the next, which makes one entry the longest wait.
            account.rested_at = Some(now + used);
        }
    }

    /// An event was put off. Returns how many were since the last warning, where another warning is due.
    pub fn warn(&self, now: Instant) -> Option<u64> {
        let mut account = self.lock();
        account.unreported += 1;
        let recently = |at: Instant| now.saturating_duration_since(at) < WARNING_EVERY;
        if account.warned_at.is_some_and(recently) {
            return None;
        }
        account.warned_at = Some(now);
        Some(std::mem::take(&mut account.unreported))
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = milliseconds(100);

    const fn milliseconds(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Delivers events that take `entry` each as soon as they are admitted, for `time`. Returns the entries' begins since `begun`.
    fn burn(background: &Background, begun: Instant, entry: Duration, time: Duration) -> Vec<Duration> {
        let mut now = begun;
        let mut begins = Vec::new();
        while now < begun + time {
            match background.admit(now) {
                Ok(()) => {
                    begins.push(now - begun);
                    background.charge(now, now + entry);
                    now += entry;
                }
                Err(put_off) => now = put_off.until,
            }
        }
        begins
    }

    #[test]
    fn short_entries_get_their_share() {
        let background = Background::new(CpuShare::from_thousandths(250).unwrap(), DEADLINE);
        let begun = Instant::now();
        let short = SHORT_ENTRY;
        let begins = burn(&background, begun, short, milliseconds(20_000));
        let used = short * u32::try_from(begins.len()).unwrap();
        // A quarter of 20 s, and of the second that could be used at once.
        assert!(used.abs_diff(milliseconds(5250)) < milliseconds(10), "{used:?}");
    }

    #[test]
    fn long_entries_get_a_third_of_it_and_never_follow_each_other() {
        let background = Background::new(CpuShare::from_thousandths(500).unwrap(), DEADLINE);
        let begun = Instant::now();
        let entry = milliseconds(90);
        let begins = burn(&background, begun, entry, milliseconds(20_000));
        let used = entry * u32::try_from(begins.len()).unwrap();
        assert!(used.abs_diff(milliseconds(3500)) < 2 * entry, "{used:?}");
        let apart = begins.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(apart >= 2 * entry, "{apart:?}");
    }

    #[test]
    fn a_vm_that_has_rested_owes_nothing() {
        let background = Background::new(CpuShare::from_thousandths(500).unwrap(), DEADLINE);
        let begun = Instant::now();
        let ended = begun + milliseconds(600);
        background.charge(begun, ended);
        let put_off = background.admit(ended).unwrap_err();
        assert!(put_off.over_budget);
        assert!(put_off.until > ended + milliseconds(2_500), "{put_off:?}");
        assert_eq!(background.admit(put_off.until), Ok(()));
        let later = begun + Duration::from_secs(3600);
        let ended = later + milliseconds(90);
        background.charge(later, ended);
        let pause = background.admit(ended).unwrap_err();
        assert_eq!(
            (pause.until, pause.over_budget),
            (ended + milliseconds(90), false)
        );
    }

    #[test]
    fn a_process_that_was_stopped_owes_no_more_than_a_long_entry() {
        let background = Background::new(CpuShare::from_thousandths(500).unwrap(), DEADLINE);
        let begun = Instant::now();
        let ended = begun + Duration::from_secs(3600);
        background.charge(begun, ended);
        let put_off = background.admit(ended).unwrap_err();
        assert!(put_off.until <= ended + milliseconds(5_000), "{put_off:?}");
    }

    #[test]
    fn warnings_come_once_a_minute_and_count_what_was_put_off() {
        let background = Background::new(CpuShare::LEAST, DEADLINE);
        let begun = Instant::now();
        assert_eq!(background.warn(begun), Some(1));
        assert_eq!(background.warn(begun + milliseconds(1)), None);
        assert_eq!(background.warn(begun + WARNING_EVERY), Some(2));
    }
}
