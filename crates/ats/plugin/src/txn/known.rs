//! Which transactions have state.
//!
//! The server would keep a pointer with each transaction (a user argument), but each look at it costs as much as a hostcall:
//! it searches the transaction's base classes for the place. So each net thread has a table of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use weir_ats_sys::TSHttpTxn;

use super::TxnPtr;
use crate::net_thread;

/// The transactions that began on a net thread, by their handle. Nobody holds its lock for longer than a look takes.
#[derive(Default)]
pub(crate) struct Known(Mutex<Table>);

/// Most transactions are over before the next begins on the thread: the last that began is found without a search.
#[derive(Default)]
struct Table {
    last: Option<(usize, TxnPtr)>,
    others: FxHashMap<usize, TxnPtr>,
    /// How many transactions have each key of [`super::slices`].
    sliced: FxHashMap<u64, u32>,
}

// SAFETY: an address. What lies there is used under the locks that `TxnPtr` names only.
unsafe impl Send for TxnPtr {}

impl Known {
    /// Takes note of the state of a transaction.
    pub fn insert(&self, http: TSHttpTxn, txn: TxnPtr) {
        let mut table = self.table();
        if let Some((address, other)) = table.last.replace((http.as_ptr().addr(), txn)) {
            table.others.insert(address, other);
        }
    }

    fn take(&self, http: TSHttpTxn) -> Option<TxnPtr> {
        let address = http.as_ptr().addr();
        let mut table = self.table();
        match table.last.take_if(|(last, _)| *last == address) {
            Some((_, txn)) => Some(txn),
            None => table.others.remove(&address),
        }
    }

    fn get(&self, http: TSHttpTxn) -> Option<TxnPtr> {
        let address = http.as_ptr().addr();
        let table = self.table();
        match table.last {
            Some((last, txn)) if last == address => Some(txn),
            _ => table.others.get(&address).copied(),
        }
    }

    /// A transaction has a key of [`super::slices`].
    pub fn add_sliced(&self, key: u64) {
        *self.table().sliced.entry(key).or_default() += 1;
    }

    /// A transaction that had a key has ended.
    pub fn remove_sliced(&self, key: u64) {
        let mut table = self.table();
        if let Some(count) = table.sliced.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                table.sliced.remove(&key);
            }
        }
    }

    /// True if a transaction has this key.
    pub fn is_sliced(&self, key: u64) -> bool {
        self.table().sliced.contains_key(&key)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a transaction, where it has one.
pub(super) fn find(http: TSHttpTxn) -> Option<TxnPtr> {
    let thread = net_thread::current()?;
    thread
        .known
        .get(http)
        .or_else(|| elsewhere(|known| known.get(http)))
}

/// The state of a transaction that ends, where it has one.
pub(super) fn take(http: TSHttpTxn) -> Option<TxnPtr> {
    let thread = net_thread::current()?;
    thread
        .known
        .take(http)
        .or_else(|| elsewhere(|known| known.take(http)))
}

/// A transaction that the server has moved to this thread is known to the one on which it began.
#[cold]
fn elsewhere(look: impl Fn(&Known) -> Option<TxnPtr>) -> Option<TxnPtr> {
    net_thread::every().iter().find_map(|thread| look(&thread.known))
}
