//! A transaction with filters: what has been done, what is waited for.
//!
//! Everything here runs under the transaction's mutex, which the server holds whenever it calls us about the transaction,
//! and which our own continuations for it share; and under the lock of the net thread that the stream belongs to. That
//! lock is let go before the server is given control again ([`Next`]), since it may call us from inside.

pub(crate) mod access;
mod awaits;
mod caching;
mod client;
mod edits;
pub(crate) mod facts;
mod hooks;
mod install;
pub(crate) mod known;
mod mapping;
pub(crate) mod messages;
pub(crate) mod mime;
mod next;
mod output;
mod pointer;
mod reply;
mod request;
mod response;
mod shield;
pub(crate) mod slices;
mod source;
mod templates;
pub(crate) mod url;
mod waiting;
pub(crate) mod wake;
mod well_known;

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use weir_abi::Callback;
use weir_ats_sys::{
    TS_EVENT_ERROR, TSHttpHookID, TSHttpTxn, TSTransformOutputVConnGet, TSVConn, TSVConnClosedGet,
    TSVConnWriteVIOGet, TSVIO,
};
use weir_chain::{Chain, ChainCalls, Direction, Pump, SharedState};
use weir_host::Charge;

pub(crate) use hooks::{on_global_event, on_last_event, on_remap, on_transaction_event};
pub(crate) use pointer::TxnPtr;

use crate::net_thread::NetThread;
use crate::plugin::meters;
use crate::thread_chain::{ThreadChain, ThreadFilter};
use caching::Caching;
use facts::TxnFacts;
pub(crate) use mapping::Mapping;
use messages::TxnMessages;
use next::{Flow, Next};
use request::{RequestDirection, RequestStage};
use response::ResponseDirection;
use source::TxnSource;
use waiting::Waiting;

/// The pump of either direction.
pub(crate) type TxnPump = Pump<TxnSource, ChainCalls<TxnMessages>, TxnMessages>;

/// A transaction that has filters.
///
/// Shared by the transaction itself ([`known`]) and by its transforms; the last that lets go frees it. The server ends them
/// in no fixed order.
pub(crate) struct Txn {
    http: TSHttpTxn,
    users: Cell<usize>,
    thread: &'static NetThread,
    state: SharedState<TxnMessages>,
    chain: Arc<Chain>,
    /// The chain's filters by their origin: those of `plugin.config`, and those of the remap rule.
    origins: SmallVec<[Origin; 2]>,
    position: Position,
    request: RequestDirection,
    response: ResponseDirection,
    /// Pays for the body of an answer in the server's memory.
    given: Charge,
    caching: Caching,
    /// The keys by which requests for blocks of this one know that filters have seen it.
    sliced: SmallVec<[u64; 2]>,
    waiting: Waiting,
    /// The hooks that have been added to the transaction.
    hooks: SmallVec<[TSHttpHookID; 6]>,
}

/// The server's position in the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// The server works, and calls the plugin at its hooks.
    Running,
    /// The server maps the URL, where it cannot be kept waiting.
    Mapping,
    /// The server has shown the request to the filters of a remap rule; their outcome is carried out at POST_REMAP.
    Mapped(Flow),
    /// The server waits at a hook until filters let go.
    Parked,
    /// The server has ended the transaction.
    Closed,
}

/// Filters of `plugin.config` or of a plugin in a remap rule, of which a transaction has some or all.
struct Origin {
    /// Index of the first of them in the transaction's chain.
    first: usize,
    chain: Arc<ThreadChain>,
}

/// True if a transform has been opened by the server and not been closed. It is opened some time after it was added, and the
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
    /// `mapping`: the remap rule that these are the filters of.
    fn begin(
        http: TSHttpTxn,
        thread: &'static NetThread,
        origin: Arc<ThreadChain>,
        mapping: Option<Mapping>,
    ) -> TxnPtr {
        thread.set_at_work_on(Some(http));
        // SAFETY: the transaction exists; `close` calls `end` before the server is told to go on with ending it.
        let mut messages = unsafe { TxnMessages::new(http, thread, TxnFacts::default()) };
        messages.mapping = mapping;
        let chain = select(&origin, &messages, None);
        let txn = Box::new(Self {
            http,
            users: Cell::new(1),
            thread,
            state: chain.begin(messages, meters()),
            chain,
            origins: smallvec![Origin {
                first: 0,
                chain: origin
            }],
            position: Position::Running,
            request: RequestDirection::default(),
            response: ResponseDirection::default(),
            given: Charge::none(),
            caching: Caching::default(),
            sliced: SmallVec::new(),
            waiting: Waiting::default(),
            hooks: SmallVec::new(),
        });
        let txn = TxnPtr(NonNull::from(Box::leak(txn)));
        thread.known.insert(http, txn);
        txn
    }

    /// Has requests for blocks of this one pass by the filters of an instance, which see this one.
    fn expect_blocks(&mut self, instance: usize) {
        if slices::is_loaded()
            && !slices::is_slicers(self.http)
            && let Some(key) = slices::key(self.http, instance)
        {
            self.thread.known.add_sliced(key);
            self.sliced.push(key);
        }
    }

    /// One more that holds it.
    fn keep(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// Our own code has panicked: the filters have no further part in the transaction. A body that was with them is broken
    /// off.
    #[cold]
    fn after_panic(&mut self) -> Next {
        // The panic may have been at a hook, where the server waits for us.
        let mut next = Next::flow(self.http, Flow::Continue);
        match self.position {
            Position::Running | Position::Mapped(_) => {
                let response = self.response.transform();
                let request = self.request.transform.as_ref();
                let busy = match (response, request) {
                    (Some(part), _) if part.is_busy() => Some(part.transform),
                    (_, Some(part)) if part.is_busy() => Some(part.transform),
                    _ => None,
                };
                if let Some(transform) = busy {
                    next = input_of(transform).map_or(Next::Nothing, |vio| Next::Input(vio, TS_EVENT_ERROR));
                }
            }
            Position::Mapping => {
                // The server is in the midst of the mapping, and goes on by itself.
                self.position = Position::Mapped(Flow::Continue);
                next = Next::Nothing;
            }
            Position::Parked => self.position = Position::Running,
            Position::Closed => {
                // The transaction goes, so nobody may take it for one that is there. Borrowed still only where the panic was
                // in this thread's own hands, and then not for long.
                if let Ok(mut state) = self.state.try_borrow_mut() {
                    state.finished = true;
                    state.messages.end(false);
                }
                next = Next::Nothing;
            }
        }
        self.request.stage = RequestStage::Idle;
        self.response.let_go();
        next
    }

    /// True if the server has ended the transaction.
    fn is_closed(&self) -> bool {
        self.position == Position::Closed
    }

    /// True if the server waits at a hook until filters let go.
    fn is_parked(&self) -> bool {
        self.position == Position::Parked
    }

    /// True if a head, an answer or the end of a body is with the filters, and the server waits for it at a hook.
    fn is_advancing(&self) -> bool {
        let response = self.response.is_local() || self.response.is_head_held();
        response || matches!(self.request.stage, RequestStage::Head(_) | RequestStage::Tail(_))
    }

    /// Moves on what the server waits for at a hook.
    fn advance(&mut self) -> Flow {
        if self.response.is_local() {
            return self.advance_reply();
        }
        if self.response.is_head_held() {
            return self.advance_response();
        }
        match self.request.stage {
            RequestStage::Head(_) => self.advance_request(),
            RequestStage::Tail(_) => self.advance_request_tail(),
            RequestStage::Idle | RequestStage::HeadDeferred(_) | RequestStage::Body(_) => Flow::Continue,
        }
    }

    /// Moves on at a hook, where the server can be kept waiting.
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
        state.extend(self.chain.len(), meters());
        known
    }

    fn calls(&self) -> ChainCalls<TxnMessages> {
        ChainCalls::new(Arc::clone(&self.chain), self.state.clone())
    }

    /// True if the response has to pass through a transform, if it has a body.
    fn wants_response_body(&self) -> bool {
        let state = self.state.borrow();
        if self.chain.wants_body(Direction::Response, &state) || self.keeps_transformed() {
            return true;
        }
        // A filter that answers by itself after it has seen the response's headers can do so whole only in a transform.
        self.origins.iter().any(|origin| origin.chain.replies)
            && self.filters().zip(&state.filters).any(|(filter, part)| {
                let slot = filter.slot.as_ref().map(|(slot, _)| slot);
                filter.replies
                    && !part.response.declined
                    && slot.is_some_and(|slot| slot.has(Callback::ResponseHeaders))
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
        self.position = Position::Closed;
        for key in self.sliced.drain(..) {
            self.thread.known.remove_sliced(key);
        }
        self.end_waiting();
        self.request.close();
        self.response.let_go();
        {
            let mut state = self.state.borrow_mut();
            let messages = &mut state.messages;
            messages.facts.ended = true;
            if matches!(messages.response, messages::Response::None) {
                messages.response = messages::Response::Client;
            }
            // The first who broke off is the reason: the server may then break off the other side.
            if state.messages.facts.flags == 0 {
                state.messages.facts.flags = facts::abort_flag(self.http);
            }
        }
        self.chain.finish(&self.state, meters());
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
fn select(origin: &ThreadChain, messages: &TxnMessages, base: Option<Arc<Chain>>) -> Arc<Chain> {
    let (mut authority, mut path) = (Vec::new(), Vec::new());
    if origin.conditional {
        messages.authority(&mut authority);
        messages.path(&mut path);
    }
    origin.select(&authority, &path, base)
}
