//! Filters that hold a transaction: who is woken when they let go, and what happens to those that never do.

use std::cell::OnceCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use weir_abi::log_target;
use weir_ats_sys::{
    TS_EVENT_IMMEDIATE, TSAction, TSActionCancel, TSCont, TSContCreate, TSContDataGet, TSContDataSet,
    TSContDestroy, TSContMutexGet, TSContScheduleOnThread, TSEvent, TSEventThread, TSEventThreadSelf,
};

use weir_chain::Direction;

use super::client;
use super::next::Next;
use super::wake::Wakeup;
use super::{Position, Txn, TxnPtr};
use crate::plugin::{meters, plugin};

/// Time until the plugin first looks whether the client of a transaction that waits is still there; it doubles each time.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// The longest time between two looks.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The wait of a transaction for its filters.
#[derive(Default)]
pub(super) struct Waiting {
    /// The target of wakers; unset before anything has been waited for.
    wakeup: OnceCell<Arc<Wakeup>>,
    /// The continuation that wake-ups and the timer come to.
    cont: Option<TSCont>,
    /// The end of the wait; `None` while nothing is waited for.
    until: Option<Instant>,
    /// The event that comes at the next look at the client, or at the end of the wait.
    timer: Option<TSAction>,
    /// Time to the next look.
    next_look: Duration,
    /// Filters hold both bodies, and the last wake-up was for the request's.
    request_woken: bool,
}

impl Waiting {
    /// The target of wakers, once something has been waited for.
    pub fn wakeup(&self) -> Option<&Arc<Wakeup>> {
        self.wakeup.get()
    }
}

impl Txn {
    /// Polls until nothing more happens by itself: `poll` gives `None` while something is waited for.
    pub(super) fn poll<T>(
        &mut self,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.waiting.wakeup().is_none() {
            // Hardly anything waits. What does is polled once more, with somebody to be woken.
            let done = poll(self, &mut Context::from_waker(Waker::noop()));
            if done.is_some() {
                return done;
            }
        }
        let wakeup = Arc::clone(self.wakeup());
        let waker = Waker::from(Arc::clone(&wakeup));
        let mut cx = Context::from_waker(&waker);
        loop {
            wakeup.take();
            let done = poll(self, &mut cx);
            if done.is_some() || !wakeup.take() {
                return done;
            }
        }
    }

    /// The target of wakers, entered.
    pub(super) fn wakeup(&self) -> &Arc<Wakeup> {
        self.waiting.wakeup.get_or_init(|| {
            let wakeup = Arc::<Wakeup>::default();
            wakeup.enter();
            wakeup
        })
    }

    /// Something happened that filters, or we for them, have been waiting for.
    pub(super) fn on_wake(&mut self) -> Next {
        match self.position {
            Position::Closed => return Next::Nothing,
            Position::Parked => return self.advance_at_hook(),
            Position::Running | Position::Mapping | Position::Mapped(_) => {}
        }
        let (request, response) = (self.request.is_held(), self.response.is_held());
        if request && response && !self.waiting.request_woken {
            self.waiting.request_woken = true;
            let next = self.drive_request_body();
            // One at a time, since the server may end the transaction in between.
            self.wakeup().wake_by_ref();
            return next;
        }
        self.waiting.request_woken = false;
        if self.response.has_transform() && (response || !request) {
            return self.drive_response_body();
        }
        if self.request.transform.is_some() {
            return self.drive_request_body();
        }
        Next::Nothing
    }

    /// Waits for filters as long as they hold any part of the transaction, whichever it is that has just moved.
    pub(super) fn mind_filters(&mut self) {
        let waits = match self.position {
            Position::Parked => true,
            Position::Closed => false,
            Position::Running | Position::Mapping | Position::Mapped(_) => {
                self.request.is_held() || self.response.is_held()
            }
        };
        if waits {
            self.await_filters();
        } else {
            self.stop_waiting();
        }
    }

    /// Prepares for being woken on this thread, and bounds the wait.
    fn await_filters(&mut self) {
        let cont = self.waiting.cont.unwrap_or_else(|| {
            // SAFETY: a transaction is a continuation in the server, whose mutex is the transaction's. The data is this
            // state; `end_waiting` destroys the continuation before it is freed.
            unsafe {
                let cont = TSContCreate(on_wake_event, TSContMutexGet(TSCont(self.http.as_ptr())));
                TSContDataSet(cont, std::ptr::from_mut(self).cast());
                cont
            }
        });
        self.waiting.cont = Some(cont);
        // SAFETY: the thread that runs is one of the server's.
        let mut thread = unsafe { TSEventThreadSelf() };
        if plugin().moves_transactions
            && let Some(next) = crate::net_thread::next()
        {
            thread = next;
        }
        self.wakeup().aim(cont, thread);
        if self.waiting.until.is_none() {
            self.thread.count_waiting(true);
            self.waiting.until = Some(Instant::now() + self.longest_wait());
            self.waiting.next_look = FIRST_LOOK;
            self.set_timer(cont, thread);
        }
    }

    /// Has an event sent at the next look at the client, or at the end of the wait.
    fn set_timer(&mut self, cont: TSCont, thread: TSEventThread) {
        let left = self.waiting.until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let next = left.min(self.waiting.next_look);
        self.waiting.next_look = (self.waiting.next_look * 2).min(LAST_LOOK);
        // Without any time the event would look like that of a wake-up.
        let milliseconds = i64::try_from(next.as_millis()).unwrap_or(i64::MAX).max(1);
        // SAFETY: the continuation lives until `end_waiting`, which cancels the action.
        self.waiting.timer = Some(unsafe { TSContScheduleOnThread(cont, milliseconds, thread) });
    }

    /// Filters have let go.
    pub(super) fn stop_waiting(&mut self) {
        if self.waiting.until.take().is_some() {
            self.thread.count_waiting(false);
        }
        if let Some(action) = self.waiting.timer.take() {
            // SAFETY: the action has not come to its event: that takes it out of `timer`.
            unsafe { TSActionCancel(action) };
        }
    }

    /// The server ends the transaction: nothing is waited for any more.
    pub(super) fn end_waiting(&mut self) {
        self.stop_waiting();
        if let Some(wakeup) = self.waiting.wakeup() {
            wakeup.disarm();
        }
        if let Some(cont) = self.waiting.cont.take() {
            // SAFETY: it was made by us and is destroyed once; no event is on its way to it.
            unsafe { TSContDestroy(cont) };
        }
    }

    /// The shortest of the stream deadlines of the filters.
    fn longest_wait(&self) -> std::time::Duration {
        self.filters()
            .map(|filter| filter.config.stream_deadline)
            .min()
            .unwrap_or(weir_abi::limits::STREAM_DEADLINE)
    }

    /// Time has passed while filters hold the stream.
    fn on_timer(&mut self) -> Next {
        self.waiting.timer = None;
        let Some(until) = self.waiting.until else {
            return Next::Nothing;
        };
        if self.is_closed() {
            return Next::Nothing;
        }
        if client::has_left(self.http) {
            // The server does not tell while it waits for us.
            self.state.borrow_mut().source_failed(Direction::Request);
            self.stop_waiting();
            return self.on_wake();
        }
        if until > Instant::now() {
            if let Some(cont) = self.waiting.cont {
                // SAFETY: the thread that runs is one of the server's.
                let thread = unsafe { TSEventThreadSelf() };
                self.set_timer(cont, thread);
            }
            return Next::Nothing;
        }
        self.stop_waiting();
        self.on_deadline()
    }

    /// A filter has held the stream for too long: it gets the fail policy, as if its VM had died.
    fn on_deadline(&mut self) -> Next {
        let given_up = self.state.borrow_mut().give_up_held();
        if !given_up.is_empty() {
            meters().stream_deadlines.increment();
            tracing::warn!(
                target: log_target::ABOUT_GUEST,
                "a filter has held a stream for longer than its stream_deadline; it gets the fail policy"
            );
        }
        self.on_wake()
    }
}

unsafe extern "C" fn on_wake_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    crate::guard::event(|| {
        // SAFETY: the data is the state that `await_filters` put there; `end_waiting` destroys the continuation, after
        // which no event of it comes, before the state is freed. The continuation's mutex is the transaction's.
        let Some(txn) = (unsafe { TxnPtr::new(TSContDataGet(cont).cast()) }) else {
            return;
        };
        if event == TS_EVENT_IMMEDIATE {
            txn.work(|txn| {
                txn.wakeup().arrived();
                txn.on_wake()
            });
        } else {
            txn.work(Txn::on_timer);
        }
    })
}
