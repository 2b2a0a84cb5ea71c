//! Guests that run, as the ticker sees them: at each beat it asks V8 to have their deadlines looked at, on their own threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use weir_engine_support::Ticker;

use crate::library::{Library, RawInstance};

/// One instance.
pub(crate) struct Watch {
    library: &'static Library,
    running: AtomicBool,
    /// Null once the instance is about to go.
    raw: Mutex<*mut RawInstance>,
}

// SAFETY: the ticker's thread uses the instance under the lock alone, for a function that any thread may call; whoever
// destroys the instance has taken it out before.
unsafe impl Send for Watch {}
// SAFETY: `running` is atomic, and the instance is behind a lock.
unsafe impl Sync for Watch {}

static WATCHED: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());

impl Watch {
    /// Watches an instance until [`Watch::stop`].
    pub fn start(library: &'static Library, raw: *mut RawInstance) -> Arc<Self> {
        static TICKING: Once = Once::new();
        TICKING.call_once(|| {
            Ticker::register(|| {
                let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
                watched.retain(|watch| watch.upgrade().inspect(|watch| watch.beat()).is_some());
                true
            });
        });
        let watch = Arc::new(Self {
            library,
            running: AtomicBool::new(false),
            raw: Mutex::new(raw),
        });
        let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Arc::downgrade(&watch));
        drop(watched);
        watch
    }

    /// A call begins, or has ended.
    #[inline]
    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// The instance is about to go.
    pub fn stop(&self) {
        *self.raw.lock().unwrap_or_else(PoisonError::into_inner) = std::ptr::null_mut();
    }

    fn beat(&self) {
        if !self.running.load(Ordering::Relaxed) {
            return;
        }
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        if !raw.is_null() {
            // SAFETY: the instance lives as long as it stands here.
            unsafe { (self.library.interrupt)(*raw) };
        }
    }
}
