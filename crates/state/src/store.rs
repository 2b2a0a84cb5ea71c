//! The trait of a store.

use std::sync::Arc;

use weir_abi::Status;
use weir_abi::limits::{MAX_SHARED_DATA_BYTES, MAX_SHARED_DATA_KEYS};

use crate::Queue;

/// The shared data and shared queues of one `vm_id`.
///
/// Hostcalls call these methods on any thread, several at a time, while the guest waits: a method answers at once from
/// what the process holds, and never waits for another machine. Keys, values and names are bytes without meaning.
pub trait Store: Send + Sync {
    /// Appends the value of `key` to `out` and returns the value's compare-and-swap number, which is never 0. `None` if
    /// the key does not exist; `out` stays as it was then.
    ///
    /// The number changes with each write of the key. A number that a key has shown never stands for another value of
    /// that key, also not after the key was deleted and set again (2^32 writes later numbers come round).
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32>;

    /// Sets the value of `key`: always if `cas` is 0, else only if `cas` is the value's present number.
    ///
    /// # Errors
    ///
    /// `CasMismatch` if the number is another, or if `cas` is not 0 and the key does not exist. The same status refuses a
    /// key that is too long ([`MAX_KEY`](weir_abi::limits::MAX_KEY)) and a value for which the `vm_id` has no room left: it
    /// is the one refusal that SDKs take without a panic.
    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status>;

    /// Deletes `key`.
    ///
    /// # Errors
    ///
    /// `NotFound` if the key does not exist.
    fn delete(&self, key: &[u8]) -> Result<(), Status>;

    /// Draws a compare-and-swap number that this store gives to no value from now on. Never 0. Overlays number their own
    /// values with these, so that no key shows one number for two values.
    fn next_cas(&self) -> u32;

    /// The queue of this name, made if it is new. The same queue each time. A queue lives as long as its store.
    ///
    /// # Errors
    ///
    /// `BadArgument` for a name that is too long ([`MAX_KEY`](weir_abi::limits::MAX_KEY)), `InternalFailure` if the `vm_id`
    /// has no room for another, or too many queues ([`MAX_QUEUES`](weir_abi::limits::MAX_QUEUES)).
    fn open_queue(&self, name: &[u8]) -> Result<Arc<dyn Queue>, Status>;

    /// The queue of this name; `None` if nobody has opened it.
    fn find_queue(&self, name: &[u8]) -> Option<Arc<dyn Queue>>;

    /// A VM that may have the host hold this many bytes uses the store: the `vm_id` may have as many in its queues. The highest
    /// limit of its VMs holds. The default does nothing, for stores that have bounds of their own.
    fn allow_host_memory(&self, bytes: usize) {
        let _ = bytes;
    }

    /// The usage of the `vm_id` now. Quotas act on this account. Costs no more than some loads.
    fn usage(&self) -> Usage;
}

/// The usage of a `vm_id` in its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys of shared data.
    pub keys: usize,
    /// Bytes of shared data, keys and values together.
    pub bytes: usize,
    /// Queues.
    pub queues: usize,
    /// Bytes of the entries that wait in all queues.
    pub queue_bytes: usize,
}

impl Usage {
    /// True if this much more shared data stays within the limits of a `vm_id`.
    pub(crate) fn has_room(&self, keys: usize, bytes: usize) -> bool {
        let fits = |held: usize, more: usize, limit| more == 0 || held.saturating_add(more) <= limit;
        fits(self.keys, keys, MAX_SHARED_DATA_KEYS) && fits(self.bytes, bytes, MAX_SHARED_DATA_BYTES)
    }
}
