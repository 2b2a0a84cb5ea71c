//! The right to look into a transaction.

use weir_ats_sys::{TS_SUCCESS, TSCont, TSContMutexGet, TSHttpTxn, TSMutex, TSMutexLockTry, TSMutexUnlock};

use crate::net_thread::NetThread;

/// The right to look into a transaction and to change it, while this is kept.
///
/// A call of the server about a transaction brings the right for that one, since the server holds the transaction's mutex.
/// But a guest may mean any of its streams (`proxy_set_effective_context`), and an event of a VM (a tick, the answer to a
/// call, something in a queue) comes without any: while nobody else can run on this net thread, another thread may be at
/// work on a transaction that the server has moved there. It is not waited for: it may be waiting for the lock that this thread holds.
pub(crate) struct Access {
    mutex: Option<TSMutex>,
}

impl Access {
    /// To a transaction that began on this net thread, whose lock is held. `None`: another thread is at work on it.
    #[inline]
    pub fn to(txn: Option<TSHttpTxn>, thread: &NetThread) -> Option<Self> {
        match txn {
            Some(txn) if !thread.is_at_work_on(txn) => Self::lock(txn),
            _ => Some(Self { mutex: None }),
        }
    }

    #[cold]
    fn lock(txn: TSHttpTxn) -> Option<Self> {
        // SAFETY: a transaction is a continuation in the server; it exists as long as it is known, and it is forgotten
        // (`Txn::close`) under the lock of the net thread.
        unsafe {
            let mutex = TSContMutexGet(TSCont(txn.as_ptr()));
            // Not `then_some`: dropping one lets go of the mutex, which is somebody else's where the answer is no.
            (TSMutexLockTry(mutex) == TS_SUCCESS).then(|| Self { mutex: Some(mutex) })
        }
    }
}

impl Drop for Access {
    #[inline]
    fn drop(&mut self) {
        if let Some(mutex) = self.mutex {
            // SAFETY: this thread took it; the transaction, whose mutex it is, exists as long as it is known, and it is forgotten
            // (`Txn::close`) under the lock of the net thread, which this thread holds.
            unsafe { TSMutexUnlock(mutex) };
        }
    }
}
