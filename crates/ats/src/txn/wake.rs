//! Waking a transaction that waits for its filters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use weir_ats_sys::{TSCont, TSContScheduleOnThread, TSEventThread};

/// What the wakers of a transaction lead to.
#[derive(Default)]
pub(crate) struct Wakeup {
    woken: AtomicBool,
    /// Somebody works on the transaction and will look.
    inside: AtomicBool,
    scheduled: AtomicBool,
    target: Mutex<Option<(TSCont, TSEventThread)>>,
}

impl Wakeup {
    /// Work on the transaction begins: what wakes it meanwhile is only noted.
    pub fn enter(&self) {
        self.inside.store(true, Ordering::Release);
    }

    /// Work on the transaction ends. What has woken it since it was last looked leads to an event.
    pub fn leave(&self) {
        self.inside.store(false, Ordering::Release);
        if self.woken.load(Ordering::Acquire) {
            self.schedule();
        }
    }

    /// Whether it has been woken since this was last asked.
    pub fn take(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Events go to this continuation on this thread from now on; to none any more with `None`.
    pub fn aim(&self, target: Option<(TSCont, TSEventThread)>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// The event has come.
    pub fn arrived(&self) {
        self.scheduled.store(false, Ordering::Release);
    }

    fn schedule(&self) {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cont, thread)) = *target
            && !self.scheduled.swap(true, Ordering::AcqRel)
        {
            // SAFETY: the continuation is not destroyed before `aim(None)`, which takes the same lock.
            unsafe { TSContScheduleOnThread(cont, 0, thread) };
        }
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if !self.inside.load(Ordering::Acquire) {
            self.schedule();
        }
    }
}
