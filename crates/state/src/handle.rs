//! A VM's way to shared state.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use weir_abi::{ContextId, Status};

use crate::{Consumer, Queue, QueueWaker, Store, Stores, Subscription};

/// A VM's way to shared state: it knows the store of its `vm_id` from the VM's start, and asks for each queue once.
///
/// Hostcalls use it on the VM's thread. When the VM ends, dropping the handle ends what the VM consumes.
pub struct StateHandle {
    stores: Stores,
    vm_id: Box<str>,
    store: Arc<dyn Store>,
    vm: u64,
    waker: Arc<dyn QueueWaker>,
    /// The queues that the guest has used, by number.
    queues: FxHashMap<u32, Arc<dyn Queue>>,
    consumed: BTreeSet<(u32, ContextId)>,
}

impl StateHandle {
    pub(crate) fn new(stores: Stores, vm_id: &str, vm: u64, waker: Arc<dyn QueueWaker>) -> Self {
        Self {
            store: stores.of(vm_id),
            stores,
            vm_id: vm_id.into(),
            vm,
            waker,
            queues: FxHashMap::default(),
            consumed: BTreeSet::new(),
        }
    }

    /// The store of the VM's `vm_id`.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The number of the VM, unique in the process.
    pub const fn vm(&self) -> u64 {
        self.vm
    }

    /// Opens the queue of this name, made if it is new, and makes `plugin` one of its consumers. Registering again changes
    /// nothing. Entries that wait already wake a new consumer.
    ///
    /// Returns the queue's number, which is not 0 and unique in the process.
    ///
    /// # Errors
    ///
    /// As [`Store::open_queue`].
    pub fn register(&mut self, name: &[u8], plugin: ContextId) -> Result<u32, Status> {
        let number = self.stores.open_queue(&self.vm_id, name)?;
        if self.consume(number, plugin) {
            Ok(number)
        } else {
            Err(Status::InternalFailure)
        }
    }

    /// Makes `plugin` a consumer of the queue with this number: for a VM that starts from a snapshot, whose guest has
    /// registered already. False if there is no such queue.
    pub fn consume(&mut self, number: u32, plugin: ContextId) -> bool {
        let (vm, waker) = (self.vm, Arc::clone(&self.waker));
        let Ok(queue) = self.find_queue(number) else {
            return false;
        };
        queue.subscribe(Subscription {
            consumer: Consumer { vm, plugin },
            queue: number,
            waker,
        });
        self.consumed.insert((number, plugin));
        true
    }

    /// The queues that the VM consumes, by number, each with the plugin context that does.
    pub fn consumed(&self) -> impl Iterator<Item = (u32, ContextId)> + '_ {
        self.consumed.iter().copied()
    }

    /// The number of a queue by the `vm_id` of its consumer (empty: the VM's own) and its name. `None` if nobody has
    /// registered it.
    pub fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let vm_id = if vm_id.is_empty() { &*self.vm_id } else { vm_id };
        self.stores.resolve_queue(vm_id, name)
    }

    /// Puts an entry into the queue with this number.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such queue, and as [`Queue::enqueue`].
    #[inline]
    pub fn enqueue(&mut self, number: u32, entry: &[u8]) -> Result<(), Status> {
        match self.queues.get(&number) {
            Some(queue) => queue.enqueue(entry),
            None => self.find_queue(number)?.enqueue(entry),
        }
    }

    /// Takes the oldest entry of the queue with this number.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such queue, and as [`Queue::dequeue`].
    #[inline]
    pub fn dequeue(&mut self, number: u32) -> Result<Vec<u8>, Status> {
        match self.queues.get(&number) {
            Some(queue) => queue.dequeue(),
            None => self.find_queue(number)?.dequeue(),
        }
    }

    /// A wake-up has arrived and `plugin` is about to be called for the queue with this number. False if it does not consume
    /// that queue, and must not be called.
    pub fn begin_call(&mut self, number: u32, plugin: ContextId) -> bool {
        let consumer = Consumer { vm: self.vm, plugin };
        self.find_queue(number)
            .is_ok_and(|queue| queue.begin_call(consumer))
    }

    /// `plugin` has been called for the queue with this number; it is woken again if there is more for it.
    pub fn end_call(&mut self, number: u32, plugin: ContextId) {
        let consumer = Consumer { vm: self.vm, plugin };
        if let Ok(queue) = self.find_queue(number) {
            queue.end_call(consumer);
        }
    }

    /// Ends what the VM consumes: called when the VM has died. Entries that it was woken for and did not take wake another
    /// consumer.
    pub fn forget_consumers(&mut self) {
        for (number, _) in std::mem::take(&mut self.consumed) {
            if let Some(queue) = self.queues.get(&number) {
                queue.unsubscribe(self.vm);
            }
        }
    }

    /// The queue with this number, remembered from now on.
    fn find_queue(&mut self, number: u32) -> Result<&dyn Queue, Status> {
        let queue = match self.queues.entry(number) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.stores.queue(number).ok_or(Status::NotFound)?),
        };
        Ok(&**queue)
    }
}

impl Drop for StateHandle {
    fn drop(&mut self) {
        self.forget_consumers();
    }
}
