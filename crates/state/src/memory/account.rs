//! The memory of a `vm_id` in the process, counted before it is taken.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use weir_abi::Status;
use weir_abi::limits::{HOST_MEMORY, MAX_QUEUES, MAX_SHARED_DATA_BYTES, MAX_SHARED_DATA_KEYS};
use weir_account::{Account, Ceiling};

use crate::Usage;

/// The account of a `vm_id`: each reservation is made before memory is taken, and given back when the memory is freed.
#[derive(Debug)]
pub(crate) struct StoreAccount {
    keys: AtomicUsize,
    bytes: AtomicUsize,
    queues: AtomicUsize,
    queue_bytes: AtomicUsize,
    /// The memory of queues, with names and the space beside entries.
    queue_memory: Arc<Account>,
    /// The same of shared data, whose own limits stand above: this one has none but the process's.
    data_memory: Arc<Account>,
    limited: OnceLock<()>,
}

/// Under a ceiling of its own: for stores that stand alone.
impl Default for StoreAccount {
    fn default() -> Self {
        Self::under(&Ceiling::default())
    }
}

impl StoreAccount {
    /// An account of nothing under the process's ceiling.
    pub fn under(ceiling: &Ceiling) -> Self {
        Self {
            keys: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            queues: AtomicUsize::new(0),
            queue_bytes: AtomicUsize::new(0),
            queue_memory: Account::new(HOST_MEMORY, ceiling),
            data_memory: Account::new(usize::MAX, ceiling),
            limited: OnceLock::new(),
        }
    }

    /// As [`Store::allow_host_memory`](crate::Store::allow_host_memory).
    pub fn allow_host_memory(&self, bytes: usize) {
        self.limited.get_or_init(|| self.queue_memory.set_limit(bytes));
        self.queue_memory.raise_limit(bytes);
    }

    /// The account that pays for queues.
    pub const fn queue_memory(&self) -> &Arc<Account> {
        &self.queue_memory
    }

    /// The account that pays for shared data.
    pub const fn data_memory(&self) -> &Arc<Account> {
        &self.data_memory
    }

    /// Reserves a new key with `bytes` bytes, the key's own included. `CasMismatch` if the limits leave no room.
    pub fn reserve_key(&self, bytes: usize) -> Result<(), Status> {
        add_below(&self.keys, 1, MAX_SHARED_DATA_KEYS, Status::CasMismatch)?;
        self.reserve_bytes(bytes).inspect_err(|_| {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Reserves more bytes for a key that exists. `CasMismatch` if the limits leave no room.
    pub fn reserve_bytes(&self, bytes: usize) -> Result<(), Status> {
        add_below(&self.bytes, bytes, MAX_SHARED_DATA_BYTES, Status::CasMismatch)
    }

    /// Gives back bytes of a value that has shrunk.
    pub fn free_bytes(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives back a key with `bytes` bytes, the key's own included.
    pub fn free_key(&self, bytes: usize) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.free_bytes(bytes);
    }

    /// Reserves a queue. `InternalFailure` if the limits leave no room.
    pub fn reserve_queue(&self) -> Result<(), Status> {
        add_below(&self.queues, 1, MAX_QUEUES, Status::InternalFailure)
    }

    /// Counts an entry of a queue. Each queue has a bound of its own, so this is no more than a count.
    pub fn add_entry(&self, bytes: usize) {
        self.queue_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The entry has been taken out.
    pub fn remove_entry(&self, bytes: usize) {
        self.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The account as it stands.
    pub fn usage(&self) -> Usage {
        Usage {
            keys: self.keys.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            queues: self.queues.load(Ordering::Relaxed),
            queue_bytes: self.queue_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Adds to `counter` unless that would take it over `limit`.
fn add_below(counter: &AtomicUsize, more: usize, limit: usize, refusal: Status) -> Result<(), Status> {
    let add = |held: usize| held.checked_add(more).filter(|sum| *sum <= limit);
    match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
        Ok(_) => Ok(()),
        Err(_) => Err(refusal),
    }
}
