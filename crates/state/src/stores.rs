//! The store of each `vm_id`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use weir_abi::Status;
use weir_account::Ceiling;

use crate::directory::{Directory, Listed};
use crate::overlay::Overlay;
use crate::{MemoryStore, Queue, QueueWaker, StateHandle, Store, Usage};

/// The stores of a process, one for each `vm_id`. A clone is the same stores.
///
/// A `vm_id` that is mapped to no store gets a [`MemoryStore`] when its first VM starts, and keeps it for as long as the
/// process runs.
#[derive(Clone, Default)]
pub struct Stores(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ceiling: Ceiling,
    stores: RwLock<HashMap<Box<str>, Arc<dyn Store>>>,
    directory: RwLock<Directory>,
    below: Option<Below>,
}

/// The stores below an overlay.
struct Below {
    stores: Stores,
    /// The last number of a queue when the overlay was made: up to this one, numbers mean what they mean below.
    last_queue: u32,
}

impl Stores {
    /// Makes `store` the store of a `vm_id`. For the start of a process, before VMs of that `vm_id` start. VMs that run keep
    /// the store that they started with, and numbers of queues go on to mean the queues that they meant.
    pub fn map(&self, vm_id: &str, store: Arc<dyn Store>) {
        self.write().insert(vm_id.into(), store);
        self.directory_mut().forget_names(vm_id);
    }

    /// The bound of the memory that all guests of the process may have the host hold. In-process stores stand under it.
    pub fn ceiling(&self) -> &Ceiling {
        &self.0.ceiling
    }

    /// The store of a `vm_id`, made if it is new.
    ///
    /// Not for a `vm_id` that a guest names: a guest would make stores without end.
    pub fn of(&self, vm_id: &str) -> Arc<dyn Store> {
        if let Some(store) = self.find(vm_id) {
            return store;
        }
        let mut stores = self.write();
        let store = stores
            .entry(vm_id.into())
            .or_insert_with(|| Arc::new(MemoryStore::under(&self.0.ceiling)));
        Arc::clone(store)
    }

    /// The store of a `vm_id`; `None` if no VM of that `vm_id` has started and nothing is mapped to it.
    pub fn find(&self, vm_id: &str) -> Option<Arc<dyn Store>> {
        if let Some(store) = self.read().get(vm_id) {
            return Some(Arc::clone(store));
        }
        let below = self.0.below.as_ref()?.stores.find(vm_id)?;
        let mut stores = self.write();
        let store = stores
            .entry(vm_id.into())
            .or_insert_with(|| Arc::new(Overlay::over(below, &self.0.ceiling)));
        Some(Arc::clone(store))
    }

    /// The handle of a VM, asked for once when the VM starts. `vm` is the VM's number, unique in the process; `waker` wakes
    /// it when queues that it consumes have entries.
    pub fn handle(&self, vm_id: &str, vm: u64, waker: Arc<dyn QueueWaker>) -> StateHandle {
        StateHandle::new(self.clone(), vm_id, vm, waker)
    }

    /// The queue of this name, made if it is new, and its number, which is never 0.
    ///
    /// # Errors
    ///
    /// As [`Store::open_queue`].
    pub fn open_queue(&self, vm_id: &str, name: &[u8]) -> Result<u32, Status> {
        if let Some(number) = self.directory().number(vm_id, name) {
            return Ok(number);
        }
        let queue = self.of(vm_id).open_queue(name)?;
        self.list(vm_id, name, queue)
    }

    /// The number of the queue that somebody has opened under this name.
    pub fn resolve_queue(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        if let Some(number) = self.directory().number(vm_id, name) {
            return Some(number);
        }
        let queue = self.find(vm_id)?.find_queue(name)?;
        self.list(vm_id, name, queue).ok()
    }

    /// The queue with this number.
    pub fn queue(&self, number: u32) -> Option<Arc<dyn Queue>> {
        if let Some(listed) = self.directory().find(number) {
            return Some(Arc::clone(&listed.queue));
        }
        let below = self.0.below.as_ref()?;
        if number > below.last_queue {
            return None;
        }
        let Listed { vm_id, name, .. } = below.stores.directory().find(number)?.clone();
        let queue = self.find(&vm_id)?.find_queue(&name)?;
        self.list(&vm_id, &name, queue).ok()?;
        self.directory()
            .find(number)
            .map(|listed| Arc::clone(&listed.queue))
    }

    /// Stores for VMs that are only tried out: they find what exists, and nobody else sees what they change.
    ///
    /// Costs the same whatever exists. Reads fall through; values, deletions and new queues stay in the overlay. Queues have
    /// the names and numbers that they have below, and start empty and without consumers.
    #[must_use]
    pub fn overlay(&self) -> Self {
        let last_queue = self.directory().last();
        Self(Arc::new(Inner {
            ceiling: self.0.ceiling.clone(),
            stores: RwLock::default(),
            directory: RwLock::new(Directory::after(last_queue)),
            below: Some(Below {
                stores: self.clone(),
                last_queue,
            }),
        }))
    }

    /// The usage of each `vm_id`, in no order.
    pub fn usage(&self) -> Vec<(Box<str>, Usage)> {
        // The lock is not held while stores are asked.
        let stores: Vec<_> = self
            .read()
            .iter()
            .map(|(vm_id, store)| (vm_id.clone(), Arc::clone(store)))
            .collect();
        let usage = stores.into_iter();
        usage.map(|(vm_id, store)| (vm_id, store.usage())).collect()
    }

    /// Gives a queue the number that it has below, or a new one.
    fn list(&self, vm_id: &str, name: &[u8], queue: Arc<dyn Queue>) -> Result<u32, Status> {
        let wanted = self.0.below.as_ref().and_then(|below| {
            let number = below.stores.directory().number(vm_id, name)?;
            (number <= below.last_queue).then_some(number)
        });
        self.directory_mut().add(vm_id, name, queue, wanted)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Arc<dyn Store>>> {
        self.0.stores.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Arc<dyn Store>>> {
        self.0.stores.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.0.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.0.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("usage", &self.usage())
            .field("is_overlay", &self.0.below.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use weir_abi::limits::{MAX_KEY, MAX_QUEUES};

    use super::*;
    use crate::testing::{Notes, plugin};

    #[test]
    fn vm_ids_are_apart() {
        let stores = Stores::default();
        stores.of("a").set(b"key", b"1", 0).unwrap();
        assert_eq!(stores.of("b").get(b"key", &mut Vec::new()), None);
        // The border between vm_id and key counts.
        assert_eq!(stores.of("ak").get(b"ey", &mut Vec::new()), None);
        assert!(stores.of("a").get(b"key", &mut Vec::new()).is_some());
    }

    #[test]
    fn a_vm_id_that_a_guest_guesses_makes_no_store() {
        let stores = Stores::default();
        let handle = stores.handle("vm", 1, Notes::new());
        assert_eq!(handle.resolve("guessed", b"q"), None);
        assert_eq!(stores.usage().len(), 1);
    }

    #[test]
    fn queues_are_registered_once_and_resolved_by_vm_id_and_name() {
        let (stores, notes) = (Stores::default(), Notes::new());
        let mut handle = stores.handle("vm", 1, notes.clone());
        let id = handle.register(b"q", plugin(1)).unwrap();
        assert_ne!(id, 0);
        assert_eq!(handle.register(b"q", plugin(1)), Ok(id));
        let mut foreign = stores.handle("other", 2, notes.clone());
        let other = foreign.register(b"q", plugin(1)).unwrap();
        assert_ne!(other, id);
        assert_eq!(handle.resolve("", b"q"), Some(id));
        assert_eq!(handle.resolve("vm", b"q"), Some(id));
        assert_eq!(handle.resolve("other", b"q"), Some(other));
        assert_eq!(handle.resolve("vm", b"none"), None);

        foreign.enqueue(id, b"entry").unwrap();
        assert_eq!(notes.take(), [(1, id)], "one consumer, one wake-up");
        assert_eq!(handle.dequeue(id), Ok(b"entry".to_vec()));
        for unknown in [0, other + 1, u32::MAX] {
            assert_eq!(handle.dequeue(unknown), Err(Status::NotFound));
            assert_eq!(handle.enqueue(unknown, b""), Err(Status::NotFound));
            assert!(!handle.consume(unknown, plugin(1)));
            assert!(!handle.begin_call(unknown, plugin(1)));
        }
    }

    #[test]
    fn a_handle_that_is_dropped_consumes_nothing() {
        let (stores, notes) = (Stores::default(), Notes::new());
        let mut handle = stores.handle("vm", 1, notes.clone());
        let id = handle.register(b"q", plugin(1)).unwrap();
        handle.register(b"r", plugin(2)).unwrap();
        assert_eq!(handle.consumed().count(), 2);
        drop(handle);
        stores.queue(id).unwrap().enqueue(b"entry").unwrap();
        assert_eq!(notes.take(), []);
        let late = Notes::new();
        assert!(stores.handle("vm", 2, late.clone()).consume(id, plugin(3)));
        assert_eq!(late.take(), [(3, id)], "what waits wakes the next");
    }

    #[test]
    fn the_number_of_queues_is_bounded_by_vm_id() {
        let stores = Stores::default();
        let mut handle = stores.handle("vm", 1, Notes::new());
        assert_eq!(
            handle.register(&[0; MAX_KEY + 1], plugin(1)),
            Err(Status::BadArgument)
        );
        for name in 0..u32::try_from(MAX_QUEUES).unwrap() {
            handle.register(&name.to_le_bytes(), plugin(1)).unwrap();
        }
        assert_eq!(handle.register(b"more", plugin(1)), Err(Status::InternalFailure));
        assert_eq!(stores.of("vm").usage().queues, MAX_QUEUES);
        assert!(stores.open_queue("other", b"more").is_ok());
    }

    #[test]
    fn a_vm_that_runs_keeps_the_store_that_it_started_with() {
        let stores = Stores::default();
        let mut before = stores.handle("vm", 1, Notes::new());
        let old = before.register(b"q", plugin(1)).unwrap();
        stores.map("vm", Arc::new(MemoryStore::default()));
        let mut after = stores.handle("vm", 2, Notes::new());
        let new = after.register(b"q", plugin(1)).unwrap();
        assert_ne!(new, old);
        before.store().set(b"key", b"", 0).unwrap();
        before.enqueue(old, b"entry").unwrap();
        assert_eq!(after.store().get(b"key", &mut Vec::new()), None);
        assert_eq!(after.dequeue(new), Err(Status::Empty));
        assert_eq!(after.dequeue(old), Ok(b"entry".to_vec()));
    }
}
