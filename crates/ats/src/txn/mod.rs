//! A transaction with filters: what has been done, what is waited for.
//!
//! Everything here runs under the transaction's mutex, which the server holds whenever it calls us about the transaction,
//! and which our own continuations for it share; and under the lock of the net thread that the stream belongs to. That
//! lock is let go before the server is given control again ([`Next`]), since it may call us from inside.

mod client;
pub(crate) mod facts;
mod hooks;
mod install;
pub(crate) mod known;
pub(crate) mod messages;
pub(crate) mod mime;
mod output;
mod reply;
mod request;
mod request_body;
mod response;
mod response_body;
mod shield;
mod source;
pub(crate) mod url;
pub(crate) mod wake;
mod well_known;

use std::cell::{Cell, LazyCell, OnceCell};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use smallvec::{SmallVec, smallvec};
use weir_abi::Callback;
use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_HTTP_CONTINUE, TS_EVENT_HTTP_ERROR, TS_EVENT_IMMEDIATE, TS_SUCCESS, TSAction,
    TSActionCancel, TSCont, TSContCall, TSContCreate, TSContDataGet, TSContDataSet, TSContDestroy,
    TSContMutexGet, TSContScheduleOnThread, TSEvent, TSEventThreadSelf, TSHttpTxn, TSHttpTxnReenable,
    TSTransformOutputVConnGet, TSVConn, TSVConnClosedGet, TSVConnWriteVIOGet, TSVIO, TSVIOContGet,
};
use weir_chain::{Chain, ChainCalls, Direction, Pump, SharedState, StreamState, VmPlace};

pub(crate) use hooks::{on_global_event, on_remap, on_transaction_event};

use crate::net_thread::{Guard, NetThread};
use crate::plugin::plugin;
use crate::stats::{COUNTERS, bump};
use crate::thread_chain::{ThreadChain, ThreadFilter};
use crate::vm::place::PlaceRef;
use facts::TxnFacts;
use messages::TxnMessages;
use reply::FinalReply;
use request_body::RequestTransform;
use response_body::ResponseTransform;
use source::{BodyInput, TxnSource};
use wake::Wakeup;

/// The pump of either direction.
pub(crate) type TxnPump = Pump<TxnSource, ChainCalls<PlaceRef, TxnMessages>, TxnMessages>;

/// A transaction that has filters.
///
/// Shared by the transaction itself ([`known`]) and by its transforms; the last that lets go frees it. The server ends them
/// in no fixed order.
pub(crate) struct Txn {
    http: TSHttpTxn,
    users: Cell<usize>,
    thread: &'static NetThread,
    state: SharedState<TxnMessages>,
    chain: Arc<Chain<PlaceRef>>,
    /// What the chain was made from: the filters of `plugin.config`, and those of the remap rule.
    origins: SmallVec<[Arc<ThreadChain>; 2]>,
    /// For each filter of the chain, its place among those: which origin, and which filter of it.
    selected: SmallVec<[(usize, usize); 2]>,
    /// There is none before anything has been waited for.
    wakeup: OnceCell<Arc<Wakeup>>,
    wake_cont: Option<TSCont>,
    deadline: Option<TSAction>,
    step: Step,
    /// The server waits for us to go on with the transaction.
    parked: bool,
    /// The bodies that filters hold.
    held: Held,
    /// The server is mapping the URL.
    in_remap: bool,
    /// How the request came through the filters of a remap rule.
    after_remap: Flow,

    request: Option<Box<TxnPump>>,
    request_input: LazyCell<Rc<BodyInput>>,
    request_has_body: bool,
    /// The head is still with a filter that wants to see the body first.
    head_deferred: bool,
    request_transform: Option<RequestTransform>,

    response: Option<Box<TxnPump>>,
    response_transform: Option<ResponseTransform>,
    /// The response's headers have been shown to the filters.
    response_seen: bool,
    /// The server has begun to send the response, and takes what a transform of ours puts out.
    sending: bool,
    /// The response is one that the filters have made before, out of the cache.
    made_before: bool,

    reply: Option<FinalReply>,
    hooks: Hooks,
    /// The server has ended it.
    closed: bool,
}

/// What is being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Idle,
    /// The request's head is on its way through the filters.
    RequestHead,
    /// The end of a request's body that has no bytes is shown to the filters.
    RequestTail,
    /// A filter's answer is on its way through the filters.
    Reply,
    /// The response's head is on its way through the filters, without a transform.
    ResponseHead,
}

/// Which bodies filters hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    request: bool,
    response: bool,
    /// Both, and the last wake-up was for the request's.
    request_woken: bool,
}

/// Which hooks have been added to the transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Hooks {
    post_remap: bool,
    send_request: bool,
    response: bool,
    own_end: bool,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// The transaction goes on.
    Continue,
    /// The transaction ends with the answer that has been prepared.
    Error,
    /// The filters have to be waited for.
    Pause,
}

/// What the server is asked for when the lock has been let go.
enum Next {
    Nothing,
    Reenable(TSHttpTxn, TSEvent),
    /// Tells whoever writes into a transform what became of it.
    Input(TSVIO, TSEvent),
    /// Sets an output going again, and then perhaps its input.
    Output {
        output: Option<TSVIO>,
        input: Option<(TSVIO, TSEvent)>,
    },
}

impl Next {
    fn flow(http: TSHttpTxn, flow: Flow) -> Self {
        match flow {
            Flow::Continue => Self::Reenable(http, TS_EVENT_HTTP_CONTINUE),
            Flow::Error => Self::Reenable(http, TS_EVENT_HTTP_ERROR),
            Flow::Pause => Self::Nothing,
        }
    }

    /// Gives control to the server. The lock of the net thread is not held.
    fn run(self) {
        let tell = |vio: TSVIO, event: TSEvent| {
            // SAFETY: the operation belongs to a transform that has not been closed: this runs in the same event in which
            // it was looked at, under the transaction's mutex.
            unsafe {
                let cont = TSVIOContGet(vio);
                // A write side without a buffer has nobody who waits for word of it.
                if !(cont.is_null() || weir_ats_sys::TSVIOBufferGet(vio).is_null()) {
                    TSContCall(cont, event, vio.as_ptr());
                }
            }
        };
        match self {
            Self::Nothing => {}
            // SAFETY: the transaction is stopped at a hook of ours, and is re-enabled once for it.
            Self::Reenable(http, event) => unsafe { TSHttpTxnReenable(http, event) },
            Self::Input(vio, event) => tell(vio, event),
            Self::Output { output, input } => {
                if let Some(output) = output {
                    // SAFETY: the operation was begun by this transform, which has not been closed.
                    unsafe { weir_ats_sys::TSVIOReenable(output) };
                }
                if let Some((vio, event)) = input {
                    tell(vio, event);
                }
            }
        }
    }
}

/// Where the state of a transaction lies. References to it are made for one piece of work at a time, and never kept
/// while the server has control, since it may call us from inside.
#[derive(Clone, Copy)]
pub(crate) struct TxnPtr(NonNull<Txn>);

impl TxnPtr {
    /// # Safety
    ///
    /// It is null or came from [`Txn::begin`], and somebody holds it for as long as the value is used.
    unsafe fn new(txn: *mut Txn) -> Option<Self> {
        NonNull::new(txn).map(Self)
    }

    /// The state of a transaction, where it has one.
    ///
    /// # Safety
    ///
    /// The transaction exists, its mutex is held, and the value is not used after control was given to the server.
    #[inline]
    unsafe fn of(http: TSHttpTxn) -> Option<Self> {
        // What `begin` made known is forgotten before it is freed.
        known::find(http)
    }

    /// The net thread that the stream belongs to.
    fn thread(self) -> &'static NetThread {
        // SAFETY: whoever made this value vouches for it; the field never changes.
        unsafe { (*self.0.as_ptr()).thread }
    }

    /// Runs work on the transaction under the lock of its net thread, and then gives control to the server.
    fn work(self, work: impl FnOnce(&mut Txn) -> Next) {
        self.work_under(self.thread().lock(), work);
    }

    /// As [`TxnPtr::work`], under the lock that has been taken already.
    fn work_under(self, lock: Guard, work: impl FnOnce(&mut Txn) -> Next) {
        let (next, wakeup) = {
            let _lock = lock;
            // SAFETY: whoever made this value vouches for it, and the transaction's mutex is held, so that nobody else
            // works on it; the reference ends before the server gets control.
            let txn = unsafe { &mut *self.0.as_ptr() };
            if let Some(wakeup) = txn.wakeup.get() {
                wakeup.enter();
            }
            let next = crate::guard::catch(|| work(txn));
            let next = next.unwrap_or_else(|| txn.after_panic());
            (next, txn.wakeup.get().cloned())
        };
        if let Some(wakeup) = wakeup {
            wakeup.leave();
        }
        next.run();
    }

    /// One less that holds it.
    ///
    /// # Safety
    ///
    /// The caller held it ([`Txn::keep`], or the transaction itself), and no value is used afterwards.
    unsafe fn release(self) {
        let txn = self.0.as_ptr();
        // SAFETY: the caller holds it, so it is still there.
        let left = unsafe {
            let users = &(*txn).users;
            users.set(users.get() - 1);
            users.get()
        };
        if left == 0 {
            // SAFETY: nobody else holds it, and it came from a box (`Txn::begin`).
            drop(unsafe { Box::from_raw(txn) });
        }
    }
}

/// Whether a transform has been opened by the server and not been closed. It is opened some time after it was added, and the
/// event that says that it is closed may still be on its way; a wake-up may come before the one and after the other.
fn is_open(transform: TSVConn) -> bool {
    // SAFETY: the transform exists until that event, in which it is destroyed and forgotten.
    unsafe { TSVConnClosedGet(transform) == 0 && !TSTransformOutputVConnGet(transform).is_null() }
}

/// The write side of a transform, from which its input comes.
fn input_of(transform: TSVConn) -> Option<TSVIO> {
    // SAFETY: the transform has not been closed.
    let vio = unsafe { TSVConnWriteVIOGet(transform) };
    (!vio.is_null()).then_some(vio)
}

impl Txn {
    /// Makes the state of a transaction that begins with the filters of an instance; the transaction holds it.
    fn begin(http: TSHttpTxn, thread: &'static NetThread, origin: Arc<ThreadChain>) -> TxnPtr {
        bump(&COUNTERS.streams);
        // SAFETY: the transaction exists; `close` calls `end` before the server is told to go on with ending it.
        let messages = unsafe { TxnMessages::new(http, TxnFacts::default()) };
        let chain = select(&origin, &messages, None);
        let txn = Box::new(Self {
            http,
            users: Cell::new(1),
            thread,
            state: StreamState::new(messages, chain.len()).share(),
            selected: (0..chain.len())
                .filter_map(|filter| Some((0, chain.plan(filter)?)))
                .collect(),
            chain,
            origins: smallvec![origin],
            wakeup: OnceCell::new(),
            wake_cont: None,
            deadline: None,
            step: Step::Idle,
            parked: false,
            held: Held::default(),
            in_remap: false,
            after_remap: Flow::Continue,
            request: None,
            request_input: LazyCell::new(Rc::default),
            request_has_body: false,
            head_deferred: false,
            request_transform: None,
            response: None,
            response_transform: None,
            response_seen: false,
            sending: false,
            made_before: false,
            reply: None,
            hooks: Hooks::default(),
            closed: false,
        });
        let txn = TxnPtr(NonNull::from(Box::leak(txn)));
        thread.known.insert(http, txn);
        txn
    }

    /// One more that holds it.
    fn keep(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// Our own code has panicked: the filters have no further part in the transaction. A body that was with them is broken
    /// off.
    #[cold]
    fn after_panic(&mut self) -> Next {
        self.step = Step::Idle;
        self.request = None;
        self.response = None;
        if std::mem::replace(&mut self.parked, false) {
            return Next::Reenable(self.http, TS_EVENT_HTTP_CONTINUE);
        }
        if self.closed {
            return Next::Nothing;
        }
        let transform = match (&self.response_transform, &self.request_transform) {
            (Some(part), _) if part.is_busy() => part.transform(),
            (_, Some(part)) if part.is_busy() => part.transform(),
            // The panic was at a hook, where the server waits for us.
            _ => return Next::Reenable(self.http, TS_EVENT_HTTP_CONTINUE),
        };
        match input_of(transform) {
            Some(vio) => Next::Input(vio, TS_EVENT_ERROR),
            None => Next::Nothing,
        }
    }

    /// Polls until nothing more happens by itself: `poll` gives `None` while something is waited for.
    fn poll<T>(&mut self, mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Option<T>) -> Option<T> {
        if self.wakeup.get().is_none() {
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

    /// What wakers lead to; it is entered.
    fn wakeup(&self) -> &Arc<Wakeup> {
        self.wakeup.get_or_init(|| {
            let wakeup = Arc::<Wakeup>::default();
            wakeup.enter();
            wakeup
        })
    }

    /// The work that is waited for in the present step, from where it stands.
    fn advance(&mut self) -> Flow {
        match self.step {
            Step::Idle => Flow::Continue,
            Step::RequestHead => self.advance_request(),
            Step::RequestTail => self.advance_request_tail(),
            Step::Reply => self.advance_reply(),
            Step::ResponseHead => self.advance_response(),
        }
    }

    /// Goes on with the step at a hook, where the server can be kept waiting.
    fn advance_at_hook(&mut self) -> Next {
        let flow = self.advance();
        self.settle(flow)
    }

    /// Something happened that filters, or we for them, have been waiting for.
    fn on_wake(&mut self) -> Next {
        if self.closed {
            return Next::Nothing;
        }
        if self.parked {
            return self.advance_at_hook();
        }
        let Held {
            request,
            response,
            request_woken,
        } = self.held;
        if request && response && !request_woken {
            self.held.request_woken = true;
            let next = self.drive_request_body();
            // One at a time, since the server may end the transaction in between.
            self.wakeup().wake_by_ref();
            return next;
        }
        self.held.request_woken = false;
        if self.response_transform.is_some() && (response || !request) {
            return self.drive_response_body();
        }
        if self.request_transform.is_some() {
            return self.drive_request_body();
        }
        Next::Nothing
    }

    /// Waits for filters as long as they hold any part of the transaction, whichever it is that has just moved.
    fn mind_filters(&mut self) {
        if self.parked || self.held.request || self.held.response {
            self.await_filters();
        } else {
            self.stop_waiting();
        }
    }

    /// Prepares for being woken on this thread, and bounds the wait.
    fn await_filters(&mut self) {
        let cont = self.wake_cont.unwrap_or_else(|| {
            // SAFETY: a transaction is a continuation in the server, whose mutex is the transaction's. The data is this
            // state; `close` destroys the continuation before it is freed.
            unsafe {
                let cont = TSContCreate(on_wake_event, TSContMutexGet(TSCont(self.http.as_ptr())));
                TSContDataSet(cont, std::ptr::from_mut(self).cast());
                cont
            }
        });
        self.wake_cont = Some(cont);
        // SAFETY: the thread that runs is one of the server's.
        let mut thread = unsafe { TSEventThreadSelf() };
        if plugin().moves_transactions
            && let Some(next) = crate::net_thread::next()
        {
            thread = next;
        }
        self.wakeup().aim(cont, thread);
        if self.deadline.is_none() {
            self.thread.count_waiting(true);
            let deadline = self.longest_wait();
            // Without any the event would look like that of a wake-up.
            let milliseconds = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX).max(1);
            // SAFETY: the continuation lives until `close`, which cancels the action.
            self.deadline = Some(unsafe { TSContScheduleOnThread(cont, milliseconds, thread) });
        }
    }

    /// Filters have let go.
    fn stop_waiting(&mut self) {
        if let Some(action) = self.deadline.take() {
            self.thread.count_waiting(false);
            // SAFETY: the action has not come to its event: that takes it out of `deadline`.
            unsafe { TSActionCancel(action) };
        }
    }

    /// The shortest of the stream deadlines of the filters.
    fn longest_wait(&self) -> std::time::Duration {
        self.filters()
            .map(|filter| filter.config.stream_deadline)
            .min()
            .unwrap_or(weir_abi::limits::STREAM_DEADLINE)
    }

    /// A filter has held the stream for too long: it gets the fail policy, as if its VM had died.
    fn on_deadline(&mut self) -> Next {
        if self.deadline.take().is_some() {
            self.thread.count_waiting(false);
        }
        if self.closed {
            return Next::Nothing;
        }
        let mut held = false;
        {
            let mut state = self.state.borrow_mut();
            for filter in &mut state.filters {
                if filter.request.held || filter.response.held {
                    filter.dead = true;
                    held = true;
                }
            }
        }
        if held {
            bump(&COUNTERS.stream_deadlines);
            tracing::warn!(
                "a filter has held a stream for longer than its stream_deadline; it gets the fail policy"
            );
        }
        self.on_wake()
    }

    /// Adds the filters of an instance to the chain; how many were there before.
    fn add_filters(&mut self, origin: Arc<ThreadChain>) -> usize {
        let known = self.chain.len();
        let mut state = self.state.borrow_mut();
        let base = (known > 0).then(|| Arc::clone(&self.chain));
        self.chain = select(&origin, &state.messages, base);
        let (place, count) = (self.origins.len(), self.chain.len());
        self.origins.push(origin);
        let added = (known..count).filter_map(|filter| Some((place, self.chain.plan(filter)?)));
        self.selected.extend(added);
        state.filters.resize_with(count, Default::default);
        known
    }

    fn calls(&self) -> ChainCalls<PlaceRef, TxnMessages> {
        ChainCalls::new(Arc::clone(&self.chain), self.state.clone())
    }

    /// Whether the response has to pass through a transform, if it has a body.
    fn wants_response_body(&self) -> bool {
        let state = self.state.borrow();
        if self.chain.wants_body(Direction::Response, &state) || self.keeps_transformed() {
            return true;
        }
        // A filter that answers by itself after it has seen the response's headers can do so whole only in a transform.
        self.origins.iter().any(|origin| origin.replies)
            && self.filters().zip(&state.filters).any(|(filter, part)| {
                let place = filter.place.as_ref().map(|(place, _)| place);
                filter.replies
                    && !part.response.declined
                    && place.is_some_and(|place| place.has(Callback::ResponseHeaders))
            })
    }

    /// The filters of the chain, in its order.
    fn filters(&self) -> impl Iterator<Item = &ThreadFilter> {
        self.selected
            .iter()
            .filter_map(|(origin, filter)| self.origins.get(*origin)?.filters.get(*filter))
    }

    /// The server ends the transaction.
    fn close(&mut self) {
        self.closed = true;
        self.parked = false;
        self.held = Held::default();
        self.stop_waiting();
        if let Some(wakeup) = self.wakeup.get() {
            wakeup.disarm();
        }
        if let Some(cont) = self.wake_cont.take() {
            // SAFETY: it was made by us and is destroyed once; no event is on its way to it.
            unsafe { TSContDestroy(cont) };
        }
        self.request = None;
        self.response = None;
        if self.request_has_body {
            self.request_input.detach();
        }
        {
            let mut state = self.state.borrow_mut();
            let messages = &mut state.messages;
            messages.facts.ended = true;
            if matches!(messages.response, messages::Response::None) {
                messages.response = messages::Response::Client;
            }
            let failed = state.filters.iter().any(|filter| filter.dead);
            if failed && self.reply.is_some() {
                bump(&COUNTERS.fail_closed);
            } else if failed {
                bump(&COUNTERS.fail_open);
            }
            if self.was_aborted() {
                state.messages.facts.flags |= facts::DOWNSTREAM_TERMINATION;
            }
            state.finished = true;
        }
        self.chain.finish();
        let waits = Arc::strong_count(&self.state) > 1;
        self.state.borrow_mut().messages.end(waits);
        if self.users.get() > 1 {
            // A transform is still open; the filters are not wanted any more.
            self.chain = Chain::empty();
            self.selected.clear();
            self.origins.clear();
        }
    }

    fn was_aborted(&self) -> bool {
        let mut by_client = false;
        // SAFETY: the transaction exists.
        unsafe { weir_ats_sys::TSHttpTxnAborted(self.http, &mut by_client) == TS_SUCCESS }
    }
}

/// The filters of an instance that see a request, behind those that are known already.
fn select(
    origin: &ThreadChain,
    messages: &TxnMessages,
    base: Option<Arc<Chain<PlaceRef>>>,
) -> Arc<Chain<PlaceRef>> {
    let (mut authority, mut path) = (Vec::new(), Vec::new());
    if origin.conditional {
        messages.authority(&mut authority);
        messages.path(&mut path);
    }
    origin.select(&authority, &path, base)
}

unsafe extern "C" fn on_wake_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    crate::guard::event(|| {
        // SAFETY: the data is the state that `await_filters` put there; `close` destroys the continuation, after which no
        // event of it comes, before the state is freed. The continuation's mutex is the transaction's.
        let Some(txn) = (unsafe { TxnPtr::new(TSContDataGet(cont).cast()) }) else {
            return;
        };
        if event == TS_EVENT_IMMEDIATE {
            txn.work(|txn| {
                txn.wakeup().arrived();
                txn.on_wake()
            });
        } else {
            txn.work(Txn::on_deadline);
        }
    })
}
