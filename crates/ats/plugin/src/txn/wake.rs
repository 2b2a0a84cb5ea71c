//! Waking a transaction that waits for its filters: the protocol is [`weir_supervisor::Wakeup`], the events are the server's.

use std::sync::Arc;
use std::task::Wake;

use weir_ats_sys::{
    TS_SUCCESS, TSAction, TSActionCancel, TSCont, TSContMutexGet, TSContScheduleOnThread, TSEventThread,
    TSMutexLockTry, TSMutexUnlock,
};
use weir_supervisor::Target;

use crate::hub::Command;
use crate::plugin::plugin;

/// The target of a transaction's wakers.
#[derive(Default)]
pub(crate) struct Wakeup(weir_supervisor::Wakeup<Events>);

/// The continuation and the thread that events go to.
struct Events {
    cont: TSCont,
    thread: TSEventThread,
    /// The last one that was sent.
    event: Option<TSAction>,
}

// SAFETY: all three are addresses. The action is used under the transaction's mutex, the others by functions of the server
// that any of its threads may call.
unsafe impl Send for Events {}

impl Target for Events {
    /// Sends the event, unless the transaction is being worked on by another thread, to which the server may have moved it.
    /// Whoever wakes may hold the locks that the other thread is waiting for, so nobody waits here; and the server would,
    /// for the continuation's mutex, if it was asked to schedule it.
    fn send(&mut self) -> bool {
        // SAFETY: the continuation is not destroyed before `disarm`, which takes the lock under which this is called, and
        // keeps its mutex. Both functions are called on threads that the server knows.
        unsafe {
            let mutex = TSContMutexGet(self.cont);
            if TSMutexLockTry(mutex) != TS_SUCCESS {
                return false;
            }
            self.event = Some(TSContScheduleOnThread(self.cont, 0, self.thread));
            TSMutexUnlock(mutex);
        }
        true
    }

    fn cancel(&mut self) {
        if let Some(event) = self.event.take() {
            // SAFETY: the event has not come, which would have been told (`arrived`), and it cannot come while the mutex of
            // its continuation is held, as it is by whoever disarms.
            unsafe { TSActionCancel(event) };
        }
    }
}

impl Wakeup {
    /// Work on the transaction begins: what wakes it meanwhile is only noted.
    pub fn enter(&self) {
        self.0.enter();
    }

    /// Work on the transaction ends. What has woken it since it was last looked leads to an event.
    pub fn leave(self: &Arc<Self>) {
        if self.0.leave() {
            self.schedule();
        }
    }

    /// Returns true if a wake-up has come since the last call.
    pub fn take(&self) -> bool {
        self.0.take()
    }

    /// Events go to this continuation on this thread from now on.
    pub fn aim(&self, cont: TSCont, thread: TSEventThread) {
        self.0.aim(|old| Events {
            cont,
            thread,
            event: old.and_then(|old| old.event),
        });
    }

    /// No event comes any more, not even one that is on its way: the server frees a continuation that is destroyed whether
    /// or not one is, and aborts when it comes. Under the transaction's mutex.
    pub fn disarm(&self) {
        self.0.disarm();
    }

    /// The event has come, and whoever gets it looks at everything.
    pub fn arrived(&self) {
        self.0.arrived();
    }

    /// Sends the event that could not be sent at once; `false` where that is still not possible. The hub alone calls this.
    pub fn retry(&self) -> bool {
        self.0.retry()
    }

    fn schedule(self: &Arc<Self>) {
        if !self.0.send() {
            plugin().hub.send(Command::Wake(Arc::clone(self)));
        }
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.0.wake() {
            self.schedule();
        }
    }
}
