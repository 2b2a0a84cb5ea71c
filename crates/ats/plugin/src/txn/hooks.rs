//! The server's hooks, and which part of a transaction's work each stands for.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use weir_ats_sys::{
    TS_EVENT_HTTP_CACHE_LOOKUP_COMPLETE, TS_EVENT_HTTP_CONTINUE, TS_EVENT_HTTP_POST_REMAP,
    TS_EVENT_HTTP_READ_REQUEST_HDR, TS_EVENT_HTTP_READ_RESPONSE_HDR, TS_EVENT_HTTP_SEND_REQUEST_HDR,
    TS_EVENT_HTTP_SEND_RESPONSE_HDR, TS_EVENT_HTTP_TXN_CLOSE, TSCont, TSEvent, TSHttpTxn, TSHttpTxnReenable,
    TSHttpTxnStatusGet,
};

use super::{Flow, Mapping, Next, Position, Txn, TxnPtr, known, slices};
use crate::entry::Rule;
use crate::net_thread::{self, Guard};
use crate::plugin::{GLOBAL, plugin};
use crate::thread_chain::ThreadChain;

/// Handles the hooks that stand for all transactions.
///
/// # Safety
///
/// `data` is a transaction, stopped at the hook that `event` names, with its mutex held by this thread. Only the server calls
/// this.
pub(crate) unsafe extern "C" fn on_global_event(_cont: TSCont, event: TSEvent, data: *mut c_void) -> c_int {
    let http = TSHttpTxn(data);
    let done = crate::guard::catch(|| {
        if event == TS_EVENT_HTTP_READ_REQUEST_HDR {
            on_read_request(http);
        } else {
            on_event(http, event);
        }
    });
    if done.is_none() {
        go_on(http);
    }
    0
}

/// Handles the hooks that were added to one transaction.
///
/// # Safety
///
/// As [`on_global_event`].
pub(crate) unsafe extern "C" fn on_transaction_event(
    _cont: TSCont,
    event: TSEvent,
    data: *mut c_void,
) -> c_int {
    let http = TSHttpTxn(data);
    if crate::guard::catch(|| on_event(http, event)).is_none() {
        go_on(http);
    }
    0
}

/// Handles READ_RESPONSE_HDR of one transaction, after all other plugins.
///
/// # Safety
///
/// As [`on_global_event`].
pub(crate) unsafe extern "C" fn on_last_event(_cont: TSCont, _event: TSEvent, data: *mut c_void) -> c_int {
    let http = TSHttpTxn(data);
    let done = crate::guard::catch(|| {
        // SAFETY: the transaction is stopped at a hook of ours, under its mutex; no other reference is alive.
        match unsafe { TxnPtr::of(http) } {
            Some(txn) => txn.work(Txn::on_response_read_by_all),
            None => go_on(http),
        }
    });
    if done.is_none() {
        go_on(http);
    }
    0
}

fn go_on(http: TSHttpTxn) {
    // SAFETY: the transaction is stopped at a hook of ours, which is answered once: a panic in the work on a transaction is
    // caught inside (`Txn::work`), so one that gets here came before.
    unsafe { TSHttpTxnReenable(http, TS_EVENT_HTTP_CONTINUE) };
}

fn on_read_request(http: TSHttpTxn) {
    if slices::is_block(http, GLOBAL) {
        return go_on(http);
    }
    let Some(thread) = net_thread::current() else {
        return go_on(http);
    };
    let lock = thread.lock();
    let Some(chain) = instance_of(&lock, GLOBAL) else {
        drop(lock);
        return go_on(http);
    };
    Txn::begin(http, thread, chain, None).work_under(lock, |txn| {
        txn.expect_blocks(GLOBAL);
        let flow = txn.begin_request(0);
        txn.settle(flow)
    });
}

/// The filters of an instance, where it has some.
fn instance_of(lock: &Guard, number: usize) -> Option<Arc<ThreadChain>> {
    lock.of(number).map(Arc::clone)
}

/// A remap rule with filters has been matched. The server goes on at once; what cannot go on stops behind the mapping.
pub(crate) fn on_remap(http: TSHttpTxn, rule: &Rule, mapping: Option<Mapping>) {
    if slices::is_block(http, rule.instance) {
        return;
    }
    let Some(thread) = net_thread::current() else {
        return;
    };
    // SAFETY: the transaction exists and its mutex is held; no other reference is alive.
    let known = unsafe { TxnPtr::of(http) };
    let thread = known.map_or(thread, TxnPtr::thread);
    let lock = thread.lock();
    let Some(chain) = instance_of(&lock, rule.instance) else {
        return;
    };
    let (txn, further) = match known {
        Some(txn) => (txn, Some(chain)),
        None => (Txn::begin(http, thread, chain, mapping), None),
    };
    txn.work_under(lock, |txn| {
        if txn.position == Position::Mapped(Flow::Error) {
            // A filter of the same rule has answered; those of its further plugins do not see the request.
            return Next::Nothing;
        }
        if !plugin().has_global_hooks() {
            txn.watch_the_end();
        }
        txn.expect_blocks(rule.instance);
        {
            let messages = &mut txn.state.borrow_mut().messages;
            messages.facts.rule = Some(Arc::clone(&rule.from));
            messages.mapping = mapping;
        }
        let known = further.map_or(0, |chain| txn.add_filters(chain));
        // An answer is handed to the server behind the mapping: inside of it, it would get a body of the server's.
        txn.position = Position::Mapping;
        // SAFETY: the transaction exists.
        let answered = unsafe { TSHttpTxnStatusGet(http) } != 0;
        let mut flow = txn.begin_request(known);
        if answered && flow == Flow::Error {
            // A plugin before us in the rule has answered: of two answers the first is sent, whole.
            txn.drop_reply();
            flow = Flow::Continue;
        }
        txn.position = Position::Mapped(flow);
        if flow == Flow::Pause {
            txn.state.borrow_mut().messages.host_is_mapped = true;
        }
        if flow != Flow::Continue {
            txn.stop_after_remap();
        }
        Next::Nothing
    });
}

fn on_event(http: TSHttpTxn, event: TSEvent) {
    if event == TS_EVENT_HTTP_TXN_CLOSE {
        return on_close(http);
    }
    // SAFETY: the transaction is stopped at a hook of ours, under its mutex; no other reference is alive.
    let Some(txn) = (unsafe { TxnPtr::of(http) }) else {
        return go_on(http);
    };
    match event {
        TS_EVENT_HTTP_SEND_RESPONSE_HDR => txn.work(Txn::on_send_response),
        TS_EVENT_HTTP_POST_REMAP => txn.work(Txn::on_post_remap),
        TS_EVENT_HTTP_CACHE_LOOKUP_COMPLETE => txn.work(Txn::on_cache_lookup),
        TS_EVENT_HTTP_READ_RESPONSE_HDR => txn.work(Txn::on_read_response),
        TS_EVENT_HTTP_SEND_REQUEST_HDR => txn.work(Txn::on_send_request),
        _ => go_on(http),
    }
}

fn on_close(http: TSHttpTxn) {
    if let Some(txn) = known::take(http) {
        txn.work(|txn| {
            txn.close();
            Next::Nothing
        });
        // SAFETY: the transaction held it (`begin`), and is not known any more; `txn` is not used any more.
        unsafe { txn.release() };
    }
    go_on(http);
}

impl Txn {
    /// Answers a hook at which the server can be kept waiting.
    pub(super) fn settle(&mut self, flow: Flow) -> Next {
        self.position = match flow {
            Flow::Pause => Position::Parked,
            Flow::Continue | Flow::Error => Position::Running,
        };
        self.mind_filters();
        Next::flow(self.http, flow)
    }

    /// Carries out the outcome of a remap rule's filters: a plugin cannot pause inside the mapping.
    fn on_post_remap(&mut self) -> Next {
        let Position::Mapped(flow) = self.position else {
            return Next::flow(self.http, Flow::Continue);
        };
        self.position = Position::Running;
        match flow {
            Flow::Pause => self.advance_at_hook(),
            Flow::Continue => Next::flow(self.http, Flow::Continue),
            Flow::Error => {
                self.give_reply();
                Next::flow(self.http, Flow::Error)
            }
        }
    }
}
