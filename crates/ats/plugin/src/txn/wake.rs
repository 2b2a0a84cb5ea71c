//! Waking a transaction that waits for its filters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use weir_ats_sys::{
    TS_SUCCESS, TSAction, TSActionCancel, TSCont, TSContMutexGet, TSContScheduleOnThread, TSEventThread,
    TSMutexLockTry, TSMutexUnlock,
};

use crate::events::Command;
use crate::plugin::plugin;

/// What the wakers of a transaction lead to.
#[derive(Default)]
pub(crate) struct Wakeup {
    woken: AtomicBool,
    /// Somebody works on the transaction and will look.
    inside: AtomicBool,
    target: Mutex<Option<Target>>,
}

/// Where events go to.
struct Target {
    cont: TSCont,
    thread: TSEventThread,
    /// One is on its way.
    event: Option<TSAction>,
}

// SAFETY: all three are addresses. The action is used under the transaction's mutex, the others by functions of the server
// that any of its threads may call.
unsafe impl Send for Target {}

impl Wakeup {
    /// Work on the transaction begins: what wakes it meanwhile is only noted.
    pub fn enter(&self) {
        self.inside.store(true, Ordering::Release);
    }

    /// Work on the transaction ends. What has woken it since it was last looked leads to an event.
    pub fn leave(self: &Arc<Self>) {
        // Sequentially consistent here and in `wake_by_ref`: each side writes its own word and then reads the other's, and one
        // of the two must see what the other wrote.
        self.inside.store(false, Ordering::SeqCst);
        if self.woken.load(Ordering::SeqCst) {
            self.schedule();
        }
    }

    /// Whether it has been woken since this was last asked.
    pub fn take(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Events go to this continuation on this thread from now on.
    pub fn aim(&self, cont: TSCont, thread: TSEventThread) {
        let mut target = self.target();
        let event = target.take().and_then(|old| old.event);
        *target = Some(Target { cont, thread, event });
    }

    /// No event comes any more, not even one that is on its way: the server frees a continuation that is destroyed whether
    /// or not one is, and aborts when it comes. Under the transaction's mutex.
    pub fn disarm(&self) {
        let event = self.target().take().and_then(|old| old.event);
        if let Some(event) = event {
            // SAFETY: the event has not come, which would have taken it away (`arrived`), and it cannot come while the
            // mutex of its continuation is held.
            unsafe { TSActionCancel(event) };
        }
    }

    /// The event has come, and whoever gets it looks at everything. What has woken it so far must not lead to another one:
    /// where nothing is left to be polled, nobody would ever take it.
    pub fn arrived(&self) {
        self.take();
        if let Some(target) = &mut *self.target() {
            target.event = None;
        }
    }

    fn schedule(self: &Arc<Self>) {
        if !self.try_schedule() {
            plugin().hub.send(Command::Wake(Arc::clone(self)));
        }
    }

    /// Sends the event, unless the transaction is being worked on by another thread, to which the server may have moved it.
    /// Whoever wakes may hold the locks that the other thread is waiting for, so nobody waits here; and the server would,
    /// for the continuation's mutex, if it was asked to schedule it.
    pub fn try_schedule(&self) -> bool {
        let mut target = self.target();
        let Some(target) = &mut *target else {
            return true;
        };
        if target.event.is_some() {
            return true;
        }
        // SAFETY: the continuation is not destroyed before `disarm`, which takes the same lock, and keeps its mutex. Both
        // functions are called on threads that the server knows.
        unsafe {
            let mutex = TSContMutexGet(target.cont);
            if TSMutexLockTry(mutex) != TS_SUCCESS {
                return false;
            }
            target.event = Some(TSContScheduleOnThread(target.cont, 0, target.thread));
            TSMutexUnlock(mutex);
        }
        true
    }

    fn target(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.inside.load(Ordering::SeqCst) {
            self.schedule();
        }
    }
}
