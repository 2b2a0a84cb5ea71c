//! The way to a transaction's state.

use std::ptr::NonNull;

use weir_ats_sys::TSHttpTxn;

use super::next::Next;
use super::{Txn, known};
use crate::net_thread::{Guard, NetThread};

/// The address of a transaction's state. References to it are made for one piece of work at a time, and never kept
/// while the server has control, since it may call us from inside.
#[derive(Clone, Copy)]
pub(crate) struct TxnPtr(pub(super) NonNull<Txn>);

impl TxnPtr {
    /// # Safety
    ///
    /// `txn` is null or came from [`Txn::begin`], and somebody holds the state for as long as the value is used.
    pub(super) unsafe fn new(txn: *mut Txn) -> Option<Self> {
        NonNull::new(txn).map(Self)
    }

    /// The state of a transaction, where it has one.
    ///
    /// # Safety
    ///
    /// The transaction exists, its mutex is held, and the value is not used after control was given to the server.
    #[inline]
    pub(super) unsafe fn of(http: TSHttpTxn) -> Option<Self> {
        // A state that `begin` made known is forgotten before it is freed.
        known::find(http)
    }

    /// The net thread that the stream belongs to.
    pub(super) fn thread(self) -> &'static NetThread {
        // SAFETY: whoever made this value vouches for it; the field never changes.
        unsafe { (*self.0.as_ptr()).thread }
    }

    /// Runs work on the transaction under the lock of its net thread, and then gives control to the server.
    pub(super) fn work(self, work: impl FnOnce(&mut Txn) -> Next) {
        self.work_under(self.thread().lock(), work);
    }

    /// As [`TxnPtr::work`], under the lock that has been taken already.
    pub(super) fn work_under(self, lock: Guard, work: impl FnOnce(&mut Txn) -> Next) {
        let (next, wakeup) = {
            let _lock = lock;
            // SAFETY: whoever made this value vouches for it, and the transaction's mutex is held, so that nobody else
            // works on it; the reference ends before the server gets control.
            let txn = unsafe { &mut *self.0.as_ptr() };
            let thread = txn.thread;
            thread.set_at_work_on(Some(txn.http));
            if let Some(wakeup) = txn.waiting.wakeup() {
                wakeup.enter();
            }
            let next = crate::guard::catch(|| work(txn));
            let next = next.unwrap_or_else(|| txn.after_panic());
            thread.set_at_work_on(None);
            (next, txn.waiting.wakeup().cloned())
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
    pub(super) unsafe fn release(self) {
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
