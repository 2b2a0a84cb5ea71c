//! When the watch looks at its files, and when a reload is due.

use std::time::{Duration, Instant};

use super::{Cause, Loaded};

/// Times of a watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Changes that follow each other within this time are one: editors and copies write in pieces.
    pub quiet: Duration,
    /// The longest that further changes put a reload off.
    pub longest: Duration,
    /// The period in which the files are looked at without any event.
    pub look: Duration,
    /// Pause after the first reload that failed; doubled for each further one.
    pub retry: Duration,
    /// The longest such pause.
    pub longest_retry: Duration,
}

impl Pace {
    pub const DEFAULT: Self = Self {
        quiet: Duration::from_millis(200),
        longest: Duration::from_secs(1),
        look: Duration::from_secs(10),
        retry: Duration::from_secs(1),
        longest_retry: Duration::from_secs(60),
    };
}

/// The next step of the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Looks at the files after events.
    Look,
    /// Looks at the files since no event may have told of a change.
    SlowLook,
    /// Asks for another reload.
    Retry,
}

/// The times at which something is due.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    /// The first and the last event since the files were looked at.
    burst: Option<(Instant, Instant)>,
    /// `None` while nothing is followed.
    slow_look: Option<Instant>,
    retry: Option<Instant>,
    /// The pause after the next failure.
    pause: Duration,
    /// A reload was asked for and has not ended.
    reloading: bool,
}

impl Schedule {
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            burst: None,
            slow_look: None,
            retry: None,
            pause: pace.retry,
            reloading: false,
        }
    }

    /// An event about the files has come.
    pub fn heard(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// A reload begins.
    pub fn begin(&mut self, cause: Cause) {
        self.reloading = true;
        self.retry = None;
        if cause == Cause::Changed {
            self.pause = self.pace.retry;
        }
    }

    /// Says that there are files to look at, or none.
    pub fn follows(&mut self, now: Instant, follows: bool) {
        self.slow_look = follows.then(|| self.slow_look.unwrap_or(now + self.pace.look));
        if !follows {
            self.retry = None;
        }
    }

    /// A reload has ended, whoever asked for it. `follows` as in [`Schedule::follows`].
    pub fn reloaded(&mut self, now: Instant, loaded: Loaded, follows: bool) {
        self.reloading = false;
        self.burst = None;
        self.retry = None;
        match loaded {
            Loaded::Yes => self.pause = self.pace.retry,
            Loaded::No if follows => {
                self.retry = Some(now + self.pause);
                self.pause = self.pause.saturating_mul(2).min(self.pace.longest_retry);
            }
            Loaded::No => {}
        }
    }

    /// The time in which nothing is due; `None` means until something is heard.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if self.reloading {
            return None;
        }
        let next = [self.burst_ends(), self.slow_look, self.retry];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// The step that is due.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.reloading || self.slow_look.is_none() {
            return None;
        }
        if is_due(self.burst_ends()) {
            self.burst = None;
            return Some(Step::Look);
        }
        if is_due(self.retry) {
            self.retry = None;
            return Some(Step::Retry);
        }
        if is_due(self.slow_look) {
            self.slow_look = Some(now + self.pace.look);
            return Some(Step::SlowLook);
        }
        None
    }

    fn burst_ends(&self) -> Option<Instant> {
        let (first, last) = self.burst?;
        // Nothing is followed: nothing is due either.
        self.slow_look?;
        Some((last + self.pace.quiet).min(first + self.pace.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn following(start: Instant) -> Schedule {
        let mut schedule = Schedule::new(Pace::DEFAULT);
        schedule.follows(start, true);
        schedule
    }

    #[test]
    fn a_look_waits_for_quiet_and_never_longer_than_a_second() {
        let start = Instant::now();
        let mut schedule = following(start);
        schedule.heard(start);
        assert_eq!(schedule.wait(start), Some(200 * MS));
        assert_eq!(schedule.next(start + 199 * MS), None);
        assert_eq!(schedule.next(start + 200 * MS), Some(Step::Look));
        assert_eq!(schedule.next(start + 200 * MS), None);

        // An event every 100 ms.
        for number in 0..10 {
            let now = start + number * 100 * MS;
            schedule.heard(now);
            assert_eq!(schedule.next(now), None);
        }
        assert_eq!(schedule.next(start + 1000 * MS), Some(Step::Look));
    }

    #[test]
    fn files_are_looked_at_without_events() {
        let start = Instant::now();
        let mut schedule = following(start);
        assert_eq!(schedule.wait(start), Some(10_000 * MS));
        assert_eq!(schedule.next(start + 10_000 * MS), Some(Step::SlowLook));
        assert_eq!(schedule.next(start + 10_000 * MS), None);
        assert_eq!(schedule.next(start + 20_000 * MS), Some(Step::SlowLook));
    }

    #[test]
    fn a_failed_reload_is_retried_with_growing_pauses() {
        let mut now = Instant::now();
        let mut schedule = following(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            schedule.reloaded(now, Loaded::No, true);
            let failed = now;
            while schedule.next(now) != Some(Step::Retry) {
                now += schedule.wait(now).unwrap();
            }
            assert_eq!(now - failed, Duration::from_secs(seconds));
            schedule.begin(Cause::Retry);
            assert_eq!(schedule.wait(now), None, "a reload is under way");
        }
        // A change begins anew, and a success ends it.
        schedule.reloaded(now, Loaded::No, true);
        schedule.begin(Cause::Changed);
        schedule.reloaded(now, Loaded::No, true);
        assert_eq!(schedule.retry, Some(now + 1000 * MS));
        // Other files change nothing about it.
        schedule.follows(now, true);
        assert_eq!(schedule.retry, Some(now + 1000 * MS));
        schedule.reloaded(now, Loaded::Yes, true);
        assert_eq!(schedule.retry, None);
    }

    #[test]
    fn nothing_is_due_where_nothing_is_followed() {
        let now = Instant::now();
        let mut schedule = following(now);
        schedule.follows(now, false);
        schedule.reloaded(now, Loaded::No, false);
        schedule.heard(now);
        assert_eq!(schedule.wait(now), None);
        assert_eq!(schedule.next(now + 100_000 * MS), None);
    }
}
