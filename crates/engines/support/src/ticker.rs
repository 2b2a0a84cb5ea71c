//! One clock for all runtimes of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The period of the ticker, by which a deadline may be noticed late.
pub const TICK: Duration = Duration::from_millis(10);

/// Called at every beat; `false` says that it need not be called again.
type Beat = Box<dyn Fn() -> bool + Send + Sync>;

/// The one thread of the process that beats every [`TICK`]; runtimes hook their interruption (an epoch, a terminate
/// flag) to it instead of each starting a thread.
pub struct Ticker {
    beats: Mutex<Vec<Beat>>,
}

static BEATS: AtomicU64 = AtomicU64::new(0);

impl Ticker {
    /// The number of beats so far.
    #[inline]
    pub(crate) fn beats() -> u64 {
        BEATS.load(Ordering::Acquire)
    }

    /// Starts it, for runtimes that are asked after a deadline ([`Deadline::poll`](crate::Deadline::poll)) and are not
    /// told.
    pub fn start() {
        Self::get();
    }

    /// Calls `beat` every [`TICK`] from now on, until it answers `false` (its runtime has gone) or the process ends.
    /// `beat` must neither block, nor panic, nor register.
    pub fn register(beat: impl Fn() -> bool + Send + Sync + 'static) {
        Self::get()
            .beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(beat));
    }

    fn get() -> &'static Self {
        static TICKER: OnceLock<&'static Ticker> = OnceLock::new();
        TICKER.get_or_init(|| {
            let ticker: &'static Ticker = Box::leak(Box::new(Ticker {
                beats: Mutex::new(Vec::new()),
            }));
            let started = std::thread::Builder::new()
                .name("weir-ticker".into())
                .spawn(|| ticker.run());
            if let Err(error) = started {
                // Without the clock no deadline would ever fire, which breaks a promise of safety.
                panic!("cannot start the ticker thread: {error}");
            }
            ticker
        })
    }

    fn run(&self) {
        loop {
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread of its own that does nothing else"
            )]
            std::thread::sleep(TICK);
            // Whoever sees the beat finds the stamps.
            crate::stamp::beat();
            BEATS.fetch_add(1, Ordering::Release);
            self.beats
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|beat| beat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;

    #[test]
    fn beats_until_it_is_no_longer_wanted() {
        let (beats, heard) = mpsc::channel();
        let left = AtomicU32::new(3);
        Ticker::register(move || {
            let left = left.fetch_sub(1, Ordering::Relaxed) - 1;
            let _ = beats.send(left);
            left > 0
        });
        let next = || heard.recv_timeout(Duration::from_secs(60));
        assert_eq!(next(), Ok(2));
        assert_eq!(next(), Ok(1));
        assert_eq!(next(), Ok(0));
        assert_eq!(next(), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
