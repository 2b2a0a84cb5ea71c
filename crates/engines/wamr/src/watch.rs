//! Guests that run, as the ticker sees them.
//!
//! WAMR asks nobody whether a guest may go on: another thread must end it. The ticker's thread reads the CPU clock of the
//! guest's thread, when it first notices a call and at each beat after, and terminates the guest whose budget is used up.
//! A call costs a few stores and one exchange; no clock is read.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use wamrx_sys::{wasm_module_inst_t, wasm_runtime_terminate};
use weir_engine::CpuBudget;
use weir_engine_support::{ThreadClock, Ticker};

/// No guest runs.
const IDLE: u8 = 0;
/// The guest runs.
const RUNNING: u8 = 1;
/// The ticker is about to terminate it; the guest's thread waits for that before it lets go of the instance.
const TERMINATING: u8 = 2;
/// The instance has been terminated.
const TERMINATED: u8 = 3;

/// One instance.
pub(crate) struct Watch {
    instance: wasm_module_inst_t,
    state: AtomicU8,
    /// Number of the call, so that the ticker tells one from the next.
    call: AtomicU32,
    /// Nanoseconds of CPU time.
    budget: AtomicU64,
    /// The CPU clock of the thread that runs it.
    clock: AtomicI32,
}

// SAFETY: the instance is used by the ticker's thread only between `TERMINATING` and `TERMINATED`, and the guest's thread
// waits for the latter before it goes on with it; WAMR lets any thread terminate an instance.
unsafe impl Send for Watch {}
// SAFETY: what is shared is atomic but for the instance, which the ticker's thread uses only between `TERMINATING` and
// `TERMINATED`, while the guest's thread waits.
unsafe impl Sync for Watch {}

/// The ticker's record of an instance.
struct Watched {
    watch: Weak<Watch>,
    /// The call that it has seen running, and the thread's CPU time then.
    seen: Option<(u32, Duration)>,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

impl Watch {
    /// Watches an instance for as long as the value lives.
    pub fn start(instance: wasm_module_inst_t) -> Arc<Self> {
        static TICKING: Once = Once::new();
        TICKING.call_once(|| {
            Ticker::register(|| {
                WATCHED
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .retain_mut(Watched::beat);
                true
            });
        });
        let watch = Arc::new(Self {
            instance,
            state: AtomicU8::new(IDLE),
            call: AtomicU32::new(0),
            budget: AtomicU64::new(0),
            clock: AtomicI32::new(0),
        });
        let watched = Watched {
            watch: Arc::downgrade(&watch),
            seen: None,
        };
        WATCHED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(watched);
        watch
    }

    /// A call begins on this thread.
    #[inline]
    pub fn enter(&self, budget: CpuBudget) {
        self.clock.store(thread_clock(), Ordering::Relaxed);
        let budget = u64::try_from(budget.0.as_nanos()).unwrap_or(u64::MAX);
        self.budget.store(budget, Ordering::Relaxed);
        let call = self.call.load(Ordering::Relaxed).wrapping_add(1);
        // Whoever sees the number sees the clock and the budget of the call.
        self.call.store(call, Ordering::Release);
        self.state.store(RUNNING, Ordering::Release);
    }

    /// The call has ended; returns true if it was terminated. The instance is not to be used again then.
    #[inline]
    pub fn exit(&self) -> bool {
        loop {
            match self
                .state
                .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return false,
                Err(TERMINATED) => return true,
                // The ticker is at it: some instructions and a lock of WAMR's.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

impl Watched {
    /// Looks at it; whether it is still there.
    fn beat(&mut self) -> bool {
        let Some(watch) = self.watch.upgrade() else {
            return false;
        };
        if watch.state.load(Ordering::Acquire) != RUNNING {
            self.seen = None;
            return true;
        }
        let call = watch.call.load(Ordering::Acquire);
        // A thread that has ended runs no guest.
        let Some(now) = ThreadClock::from_number(watch.clock.load(Ordering::Relaxed)).read() else {
            return true;
        };
        let since = match self.seen {
            Some((seen, since)) if seen == call => since,
            _ => self.seen.insert((call, now)).1,
        };
        let budget = Duration::from_nanos(watch.budget.load(Ordering::Relaxed));
        let used_up = now.saturating_sub(since) >= budget;
        if used_up
            && watch
                .state
                .compare_exchange(RUNNING, TERMINATING, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            if watch.call.load(Ordering::Acquire) != call {
                // The call has just ended, and another has begun.
                watch.state.store(RUNNING, Ordering::Release);
                return true;
            }
            // SAFETY: the instance is alive: its thread waits in `exit` for what comes next.
            unsafe { wasm_runtime_terminate(watch.instance) };
            watch.state.store(TERMINATED, Ordering::Release);
        }
        true
    }
}

/// The number of this thread's CPU clock.
fn thread_clock() -> i32 {
    thread_local! {
        static CLOCK: i32 = ThreadClock::of_this_thread().number();
    }
    CLOCK.with(|clock| *clock)
}
