//! One clock for all runtimes of the process.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How often the ticker beats, and so how late a deadline may be noticed.
pub const TICK: Duration = Duration::from_millis(10);

type Beat = Box<dyn Fn() + Send + Sync>;

/// The one thread of the process that beats every [`TICK`]; runtimes hook their interruption (an epoch, a terminate
/// flag) to it instead of each starting a thread.
pub struct Ticker {
    beats: Mutex<Vec<Beat>>,
}

impl Ticker {
    /// Calls `beat` every [`TICK`] from now on, for as long as the process lives. `beat` must neither block nor panic.
    pub fn register(beat: impl Fn() + Send + Sync + 'static) {
        static TICKER: OnceLock<&'static Ticker> = OnceLock::new();
        let ticker = TICKER.get_or_init(|| {
            let ticker: &'static Ticker = Box::leak(Box::new(Ticker { beats: Mutex::new(Vec::new()) }));
            let started = std::thread::Builder::new().name("weir-ticker".into()).spawn(|| ticker.run());
            if let Err(error) = started {
                // Without the clock no deadline would ever fire, which breaks a promise of safety.
                panic!("cannot start the ticker thread: {error}");
            }
            ticker
        });
        ticker.beats.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(beat));
    }

    fn run(&self) {
        loop {
            // The ticker has a thread of its own and is meant to sleep.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(TICK);
            for beat in self.beats.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                beat();
            }
        }
    }
}
