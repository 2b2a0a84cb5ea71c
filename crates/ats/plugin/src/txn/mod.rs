//! A transaction with filters: what has been done, what is waited for.
//!
//! Everything here runs under the transaction's mutex, which the server holds whenever it calls us about the transaction,
//! and which our own continuations for it share; and under the lock of the net thread that the stream belongs to. That
//! lock is let go before the server is given control again ([`Next`]), since it may call us from inside.

pub(crate) mod access;
mod client;
mod edits;
pub(crate) mod facts;
mod hooks;
mod install;
pub(crate) mod known;
pub(crate) mod messages;
pub(crate) mod mime;
mod next;
mod output;
mod pointer;
mod reply;
mod request;
mod request_body;
mod response;
mod response_body;
mod shield;
mod source;
mod templates;
pub(crate) mod url;
mod waiting;
pub(crate) mod wake;
mod well_known;

use std::cell::{Cell, LazyCell, OnceCell};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use weir_abi::Callback;
use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_HTTP_CONTINUE, TSAction, TSCont, TSContDestroy, TSHttpTxn,
    TSTransformOutputVConnGet, TSVConn, TSVConnClosedGet, TSVConnWriteVIOGet, TSVIO,
};
use weir_chain::{Chain, ChainCalls, Direction, Pump, SharedState, StreamState, VmPlace};

pub(crate) use hooks::{on_global_event, on_remap, on_transaction_event};
pub(crate) use pointer::TxnPtr;

use crate::net_thread::NetThread;
use crate::plugin::meters;
use crate::thread_chain::{ThreadChain, ThreadFilter};
use crate::vm::place::PlaceRef;
use facts::TxnFacts;
use messages::TxnMessages;
use next::{Flow, Next};
use reply::FinalReply;
use request_body::RequestTransform;
use response_body::ResponseTransform;
use source::{BodyInput, TxnSource};
use waiting::Held;
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
    origins: SmallVec<[Origin; 2]>,
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
    request_transform: Option<Box<RequestTransform>>,

    response: Option<Box<TxnPump>>,
    response_transform: Option<Box<ResponseTransform>>,
    /// The response's headers have been shown to the filters.
    response_seen: bool,
    /// The server has begun to send the response, and takes what a transform of ours puts out.
    sending: bool,
    /// The response is one that the filters have made before, out of the cache.
    made_before: bool,

    reply: Option<Box<FinalReply>>,
    hooks: Hooks,
    /// The server has ended it.
    closed: bool,
}

/// Filters of a place in the configuration, of which a transaction has some or all.
struct Origin {
    /// Place of the first of them in the transaction's chain.
    first: usize,
    chain: Arc<ThreadChain>,
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

/// Which hooks have been added to the transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Hooks {
    post_remap: bool,
    send_request: bool,
    response: bool,
    own_end: bool,
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
        meters().streams.increment();
        thread.set_at_work_on(Some(http));
        // SAFETY: the transaction exists; `close` calls `end` before the server is told to go on with ending it.
        let messages = unsafe { TxnMessages::new(http, thread, TxnFacts::default()) };
        let chain = select(&origin, &messages, None);
        let txn = Box::new(Self {
            http,
            users: Cell::new(1),
            thread,
            state: StreamState::new(messages, chain.len()).share(),
            chain,
            origins: smallvec![Origin {
                first: 0,
                chain: origin
            }],
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
            // The transaction goes, so nobody may take it for one that is there. Borrowed still only where the panic was in
            // this thread's own hands, and then not for long.
            if let Ok(mut state) = self.state.try_borrow_mut() {
                state.finished = true;
                state.messages.end(false);
            }
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

    /// Adds the filters of an instance to the chain; how many were there before.
    fn add_filters(&mut self, origin: Arc<ThreadChain>) -> usize {
        let known = self.chain.len();
        let mut state = self.state.borrow_mut();
        let base = (known > 0).then(|| Arc::clone(&self.chain));
        self.chain = select(&origin, &state.messages, base);
        self.origins.push(Origin {
            first: known,
            chain: origin,
        });
        state.filters.resize_with(self.chain.len(), Default::default);
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
        self.origins.iter().any(|origin| origin.chain.replies)
            && self.filters().zip(&state.filters).any(|(filter, part)| {
                let place = filter.place.as_ref().map(|(place, _)| place);
                filter.replies
                    && !part.response.declined
                    && place.is_some_and(|place| place.has(Callback::ResponseHeaders))
            })
    }

    /// The filters of the chain, in its order.
    fn filters(&self) -> impl Iterator<Item = &ThreadFilter> {
        (0..self.chain.len()).filter_map(|filter| {
            let origin = self.origins.iter().rfind(|origin| origin.first <= filter)?;
            origin.chain.filters.get(self.chain.plan(filter)?)
        })
    }

    /// The server ends the transaction.
    fn close(&mut self) {
        self.closed = true;
        meters().streams_ended.increment();
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
                meters().fail_closed.increment();
            } else if failed {
                meters().fail_open.increment();
            }
            // The first who broke off is the reason: the server may then break off the other side.
            if state.messages.facts.flags == 0 {
                state.messages.facts.flags = facts::abort_flag(self.http);
            }
            state.finished = true;
        }
        self.chain.finish();
        let waits = Arc::strong_count(&self.state) > 1;
        self.state.borrow_mut().messages.end(waits);
        if self.users.get() > 1 {
            // A transform is still open; the filters are not wanted any more.
            self.chain = Chain::empty();
            self.origins.clear();
        }
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
