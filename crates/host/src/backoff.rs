//! When to bring back a VM that died. Pure arithmetic: whoever asks brings the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use weir_abi::limits::{
    RESTART_BACKOFF_MAX, RESTART_BACKOFF_MIN, RESTART_BACKOFF_RESET, RESTART_WINDOW, RESTARTS,
};

/// The deaths of a VM key's VMs that are answered at once: [`RESTARTS`] in [`RESTART_WINDOW`]. Beyond, the
/// [`RestartBackoff`] of the slot says when.
#[derive(Clone, Debug, Default)]
pub struct RestartBudget {
    /// When the restarts of the window were granted, oldest first.
    granted: VecDeque<Instant>,
}

impl RestartBudget {
    /// Asks for a restart at `now`. `false`: the budget is used up.
    pub fn take(&mut self, now: Instant) -> bool {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= RESTART_WINDOW;
        while self.granted.front().is_some_and(is_old) {
            self.granted.pop_front();
        }
        let granted = self.granted.len() < RESTARTS;
        if granted {
            self.granted.push_back(now);
        }
        granted
    }
}

/// Pauses between the death of a VM and its replacement: one second, doubling to a minute, and from the start again
/// once a VM has lived for a minute.
#[derive(Clone, Debug, Default)]
pub struct RestartBackoff {
    last: Option<Attempt>,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    pause: Duration,
    at: Instant,
}

impl RestartBackoff {
    /// Notes that the VM died (or could not be started) at `now`, and tells when to try again.
    ///
    /// The VM's life is counted from the moment that the last call named.
    pub fn died(&mut self, now: Instant) -> Instant {
        let pause = match self.last {
            Some(last) if now.saturating_duration_since(last.at) < RESTART_BACKOFF_RESET => {
                (last.pause * 2).min(RESTART_BACKOFF_MAX)
            }
            _ => RESTART_BACKOFF_MIN,
        };
        let at = now + pause;
        self.last = Some(Attempt { pause, at });
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = RestartBackoff::default();
        let mut now = Instant::now();
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let at = backoff.died(now);
            assert_eq!(at - now, seconds(pause));
            now = at;
        }
    }

    #[test]
    fn a_minute_of_life_starts_over() {
        let mut backoff = RestartBackoff::default();
        let first = backoff.died(Instant::now());
        let second = backoff.died(first + seconds(59));
        assert_eq!(second - first, seconds(59 + 2));
        let third = backoff.died(second + seconds(60));
        assert_eq!(third - second, seconds(60 + 1));
    }

    #[test]
    fn a_clock_that_reports_an_earlier_time_starts_nothing_over() {
        let mut backoff = RestartBackoff::default();
        let now = Instant::now() + seconds(10);
        backoff.died(now);
        assert_eq!(backoff.died(now) - now, seconds(2));
    }

    #[test]
    fn a_budget_grants_its_restarts_in_each_window() {
        let mut budget = RestartBudget::default();
        let now = Instant::now();
        let grants = |budget: &mut RestartBudget, at| (0..100).filter(|_| budget.take(at)).count();
        assert_eq!(grants(&mut budget, now), RESTARTS);
        assert_eq!(grants(&mut budget, now + RESTART_WINDOW / 2), 0);
        assert_eq!(grants(&mut budget, now + RESTART_WINDOW), RESTARTS);
    }

    #[test]
    fn a_death_a_second_never_uses_the_budget_up() {
        let mut budget = RestartBudget::default();
        let now = Instant::now();
        assert!((0..1000).all(|second| budget.take(now + seconds(second))));
    }

    proptest! {
        #[test]
        fn a_pause_is_never_outside_of_its_bounds(lives in prop::collection::vec(0u64..200, 0..40)) {
            let mut backoff = RestartBackoff::default();
            let mut now = Instant::now();
            for life in lives {
                let at = backoff.died(now);
                prop_assert!((RESTART_BACKOFF_MIN..=RESTART_BACKOFF_MAX).contains(&(at - now)));
                now = at + seconds(life);
            }
        }
    }
}
