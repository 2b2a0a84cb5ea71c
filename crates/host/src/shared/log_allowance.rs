//! How much plugins may log: a token bucket for each, which all VMs of the plugin share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_abi::limits::{LOG_LINE, LOG_WARNING_PAUSE, MAX_LOG_MESSAGE};

/// The allowances of a process, by plugin. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct LogAllowances(Arc<Mutex<HashMap<Writer, Arc<LogAllowance>>>>);

/// Who writes lines.
#[derive(PartialEq, Eq, Hash)]
enum Writer {
    Plugin(Box<str>),
    /// A VM of this module that has no plugin yet.
    Starting(Box<str>),
}

/// The lines that a plugin has lost because it logged more than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLogLines {
    /// Name of the plugin; empty for VMs that start and have no plugin yet.
    pub plugin: String,
    /// Lines lost since the process started.
    pub lines: u64,
}

impl LogAllowances {
    /// The allowance of a plugin.
    pub fn of_plugin(&self, name: &str) -> Arc<LogAllowance> {
        self.of(Writer::Plugin(name.into()))
    }

    /// The allowance of VMs of a module until they have a plugin.
    pub fn of_starting(&self, module: &str) -> Arc<LogAllowance> {
        self.of(Writer::Starting(module.into()))
    }

    fn of(&self, writer: Writer) -> Arc<LogAllowance> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(writer).or_default())
    }

    pub fn lost(&self) -> Vec<LostLogLines> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_starting = 0;
        let mut lost = Vec::new();
        for (writer, allowance) in known.iter() {
            let lines = allowance.lost.load(Ordering::Relaxed);
            match writer {
                Writer::Plugin(name) => lost.push(LostLogLines {
                    plugin: name.to_string(),
                    lines,
                }),
                Writer::Starting(_) => of_starting += lines,
            }
        }
        if of_starting > 0 {
            lost.push(LostLogLines {
                plugin: String::new(),
                lines: of_starting,
            });
        }
        lost
    }
}

impl fmt::Debug for LogAllowances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogAllowances").finish_non_exhaustive()
    }
}

/// A token bucket, kept as the time at which it will be full again. Nobody waits for it.
#[derive(Debug)]
pub struct LogAllowance {
    began: Instant,
    /// Nanoseconds after `began`.
    full_at: AtomicU64,
    lost: AtomicU64,
    /// Lines lost of which a warning has told.
    told: AtomicU64,
    /// No warning before this time, in nanoseconds after `began`.
    quiet_until: AtomicU64,
}

impl Default for LogAllowance {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            full_at: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            told: AtomicU64::new(0),
            quiet_until: AtomicU64::new(0),
        }
    }
}

impl LogAllowance {
    /// Pays for a line of `len` bytes at `rate` bytes a second. False: the line is lost, and counted.
    pub fn pay(&self, len: usize, rate: u64) -> bool {
        self.pay_at(self.now(), len, rate)
    }

    /// The number of lines lost of which nobody has been told, once in a while.
    pub fn untold_losses(&self) -> Option<u64> {
        let some = self.lost.load(Ordering::Relaxed) != self.told.load(Ordering::Relaxed);
        some.then(|| self.untold_losses_at(self.now())).flatten()
    }

    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    fn pay_at(&self, now: u64, len: usize, rate: u64) -> bool {
        let takes = |bytes: u64| bytes.saturating_mul(1_000_000_000) / rate.max(1);
        let cost = takes(LOG_LINE.saturating_add(len as u64));
        // A second's bytes, or a line of the greatest length at a lower rate.
        let most = takes(rate.max(MAX_LOG_MESSAGE as u64 + LOG_LINE));
        let paid = rate > 0
            && self
                .full_at
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                    let full_at = full_at.max(now).saturating_add(cost);
                    (full_at - now <= most).then_some(full_at)
                })
                .is_ok();
        if !paid {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        paid
    }

    fn untold_losses_at(&self, now: u64) -> Option<u64> {
        let lost = self.lost.load(Ordering::Relaxed);
        let quiet_until = self.quiet_until.load(Ordering::Relaxed);
        if lost == self.told.load(Ordering::Relaxed) || now < quiet_until {
            return None;
        }
        let next = now.saturating_add(nanoseconds(LOG_WARNING_PAUSE));
        // Of VMs that find this at once, one tells.
        self.quiet_until
            .compare_exchange(quiet_until, next, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        Some(lost - self.told.swap(lost, Ordering::Relaxed).min(lost))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const RATE: u64 = 1 << 20;

    #[test]
    fn a_second_of_bytes_is_saved_up_and_flows_back() {
        let allowance = LogAllowance::default();
        let len = 1024 - LOG_LINE as usize;
        let at = |now| (0..10_000).filter(|_| allowance.pay_at(now, len, RATE)).count();
        assert_eq!(at(0), 1024);
        assert_eq!(at(0), 0);
        assert_eq!(at(SECOND / 4), 256);
        assert_eq!(at(100 * SECOND), 1024);
        assert_eq!(allowance.lost.load(Ordering::Relaxed), 40_000 - 1024 - 256 - 1024);
    }

    #[test]
    fn a_low_rate_lets_long_lines_pass_one_by_one() {
        let allowance = LogAllowance::default();
        let long = |now| allowance.pay_at(now, MAX_LOG_MESSAGE, 1024);
        assert!(long(0) && !long(0) && !long(10 * SECOND) && long(65 * SECOND));
        assert!(!LogAllowance::default().pay_at(0, 0, 0));
        assert!(LogAllowance::default().pay_at(0, MAX_LOG_MESSAGE, u64::MAX));
    }

    #[test]
    fn losses_are_told_once_in_a_while() {
        let allowance = LogAllowance::default();
        assert_eq!(allowance.untold_losses_at(0), None);
        let lose = |lines| (0..lines).for_each(|_| assert!(!allowance.pay_at(0, 0, 0)));
        lose(1);
        assert_eq!(allowance.untold_losses_at(0), Some(1));
        lose(5);
        assert_eq!(allowance.untold_losses_at(9 * SECOND), None);
        assert_eq!(allowance.untold_losses_at(10 * SECOND), Some(5));
        assert_eq!(allowance.untold_losses_at(30 * SECOND), None);
    }

    #[test]
    fn plugins_have_allowances_of_their_own() {
        let allowances = LogAllowances::default();
        let clone = allowances.clone();
        assert!(!allowances.of_plugin("a").pay(1, 0));
        assert!(!clone.of_plugin("a").pay(1, 0));
        assert!(!clone.of_starting("a").pay(1, 0));
        assert!(clone.of_plugin("b").pay(1, RATE));
        let mut lost: Vec<_> = allowances
            .lost()
            .into_iter()
            .map(|lost| (lost.plugin, lost.lines))
            .collect();
        lost.sort();
        assert_eq!(lost, [(String::new(), 1), ("a".into(), 2), ("b".into(), 0)]);
    }
}
