//! Shared queues in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_abi::Status;
use weir_abi::limits::{MAX_QUEUE_BYTES, MAX_QUEUE_ENTRIES};
use weir_account::{Charge, HOST_MEMORY_ITEM};

use super::StoreAccount;
use crate::consumers::{Consumers, Note};
use crate::{Consumer, Queue, Subscription};

/// The bytes of a queue without name and entries.
const QUEUE_COST: usize = 8 * HOST_MEMORY_ITEM;

/// An empty queue keeps room for this many entries; more is given back, because nobody pays for it.
const KEPT_ENTRIES: usize = 256;

/// A queue in the memory of this process. Stores on other machines keep what they have read ahead in one.
pub struct MemoryQueue {
    state: Mutex<State>,
    account: Arc<StoreAccount>,
}

struct State {
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Pays for the queue and its entries.
    charge: Charge,
    consumers: Consumers,
}

impl MemoryQueue {
    /// A queue of this name whose entries are counted in this account. `InternalFailure` where the account has no room.
    pub(crate) fn new(name: &[u8], account: Arc<StoreAccount>) -> Result<Self, Status> {
        // The name stands in the store and in the directory.
        let cost = 2 * name.len() + QUEUE_COST;
        let charge = account.queue_memory().charge(cost);
        Ok(Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                bytes: 0,
                charge: charge.map_err(|_| Status::InternalFailure)?,
                consumers: Consumers::default(),
            }),
            account,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the consumers, and wakes the one that is to be woken once the lock is free.
    fn with_consumers(&self, change: impl FnOnce(&mut Consumers, usize) -> Option<Note>) {
        let mut state = self.lock();
        let waiting = state.entries.len();
        let note = change(&mut state.consumers, waiting);
        drop(state);
        if let Some(note) = note {
            note.give();
        }
    }
}

impl Queue for MemoryQueue {
    fn enqueue(&self, entry: &[u8]) -> Result<(), Status> {
        let mut state = self.lock();
        let bytes = state.bytes.saturating_add(entry.len());
        if bytes > MAX_QUEUE_BYTES || state.entries.len() >= MAX_QUEUE_ENTRIES {
            return Err(Status::NotFound);
        }
        let cost = entry.len() + HOST_MEMORY_ITEM;
        state.charge.grow(cost).map_err(|_| Status::NotFound)?;
        state.bytes = bytes;
        self.account.add_entry(entry.len());
        state.entries.push_back(entry.to_vec());
        let note = state.consumers.owe(1);
        drop(state);
        if let Some(note) = note {
            note.give();
        }
        Ok(())
    }

    fn dequeue(&self) -> Result<Vec<u8>, Status> {
        let mut state = self.lock();
        let entry = state.entries.pop_front().ok_or(Status::Empty)?;
        state.bytes -= entry.len();
        self.account.remove_entry(entry.len());
        let rest = state.charge.bytes() - (entry.len() + HOST_MEMORY_ITEM);
        state.charge.shrink_to(rest);
        if state.entries.is_empty() && state.entries.capacity() > KEPT_ENTRIES {
            state.entries = VecDeque::new();
        }
        Ok(entry)
    }

    fn subscribe(&self, subscription: Subscription) {
        self.with_consumers(|consumers, waiting| consumers.add(subscription, waiting));
    }

    fn begin_call(&self, consumer: Consumer) -> bool {
        self.lock().consumers.begin_call(consumer)
    }

    fn end_call(&self, consumer: Consumer) {
        self.with_consumers(|consumers, waiting| consumers.end_call(consumer, waiting));
    }

    fn unsubscribe(&self, vm: u64) {
        self.with_consumers(|consumers, waiting| consumers.remove(vm, waiting));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Notes, consumer, subscription};

    fn queue() -> MemoryQueue {
        MemoryQueue::new(b"q", Arc::default()).unwrap()
    }

    #[test]
    fn the_queues_of_a_vm_id_hold_no_more_than_it_may() {
        let account = Arc::new(StoreAccount::default());
        account.allow_host_memory(10_000);
        let [first, second] = [b"1", b"2"].map(|name| MemoryQueue::new(name, Arc::clone(&account)).unwrap());
        first.enqueue(&[0; 5000]).unwrap();
        assert_eq!(second.enqueue(&[0; 5000]), Err(Status::NotFound));
        account.allow_host_memory(20_000);
        second.enqueue(&[0; 5000]).unwrap();
        let mut empty = 0;
        while second.enqueue(b"").is_ok() {
            empty += 1;
        }
        assert!(
            empty <= 10_000 / HOST_MEMORY_ITEM,
            "{empty} empty entries are not free"
        );
        assert!(MemoryQueue::new(&[0; 4000], Arc::clone(&account)).is_err());
        first.dequeue().unwrap();
        assert!(MemoryQueue::new(b"3", Arc::clone(&account)).is_ok());
        drop((first, second));
        assert_eq!(account.queue_memory().held(), 0);
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let queue = queue();
        for _ in 0..10_000 {
            queue.enqueue(b"").unwrap();
        }
        while queue.dequeue().is_ok() {}
        assert!(queue.lock().entries.capacity() <= KEPT_ENTRIES);
    }

    #[test]
    fn first_in_first_out() {
        let queue = queue();
        queue.enqueue(b"1").unwrap();
        queue.enqueue(b"").unwrap();
        assert_eq!(queue.dequeue(), Ok(b"1".to_vec()));
        assert_eq!(queue.dequeue(), Ok(b"".to_vec()));
        assert_eq!(queue.dequeue(), Err(Status::Empty));
    }

    #[test]
    fn a_consumer_that_subscribes_twice_is_woken_once() {
        let (queue, notes) = (queue(), Notes::new());
        queue.subscribe(subscription(1, &notes));
        queue.subscribe(subscription(1, &notes));
        queue.enqueue(b"entry").unwrap();
        assert_eq!(notes.take(), [(1, 7)]);
    }

    #[test]
    fn consumers_take_turns() {
        let queue = queue();
        let (first, second) = (Notes::new(), Notes::new());
        queue.subscribe(subscription(1, &first));
        queue.subscribe(subscription(2, &second));
        for _ in 0..4 {
            queue.enqueue(b"").unwrap();
        }
        let calls = |vm, notes: &Notes| {
            let mut calls = 0;
            while let [(1, 7)] = notes.take()[..] {
                assert!(queue.begin_call(consumer(vm)));
                calls += 1;
                queue.end_call(consumer(vm));
            }
            calls
        };
        assert_eq!((calls(1, &first), calls(2, &second)), (2, 2));
    }

    #[test]
    fn a_dead_consumers_entries_go_to_those_that_live() {
        let queue = queue();
        let (dead, living, late) = (Notes::new(), Notes::new(), Notes::new());
        queue.subscribe(subscription(1, &dead));
        queue.enqueue(b"entry").unwrap();
        assert_eq!(dead.take(), [(1, 7)]);
        queue.subscribe(subscription(2, &living));
        assert_eq!(living.take(), [(1, 7)], "entries that wait wake a new consumer");
        queue.unsubscribe(1);
        queue.enqueue(b"entry").unwrap();
        assert_eq!(
            (dead.take(), living.take()),
            (vec![], vec![]),
            "it has a note already"
        );
        assert!(queue.begin_call(consumer(2)));
        queue.end_call(consumer(2));
        assert_eq!(living.take(), [(1, 7)], "one call for each entry");
        assert!(!queue.begin_call(consumer(1)), "the dead are not called");

        queue.unsubscribe(2);
        queue.enqueue(b"entry").unwrap();
        assert_eq!(living.take(), []);
        queue.subscribe(subscription(3, &late));
        assert_eq!(late.take(), [(1, 7)]);
        assert_eq!(
            (0..3).filter(|_| queue.dequeue().is_ok()).count(),
            3,
            "no entry was lost"
        );
    }

    #[test]
    fn limits_hold_and_what_is_taken_makes_room() {
        let account = Arc::new(StoreAccount::default());
        let queue = MemoryQueue::new(b"q", Arc::clone(&account)).unwrap();
        queue.enqueue(&vec![0; MAX_QUEUE_BYTES]).unwrap();
        assert_eq!(queue.enqueue(b"x"), Err(Status::NotFound));
        assert_eq!(account.usage().queue_bytes, MAX_QUEUE_BYTES);
        queue.dequeue().unwrap();
        assert_eq!(account.usage().queue_bytes, 0);
        for _ in 0..MAX_QUEUE_ENTRIES {
            queue.enqueue(b"").unwrap();
        }
        assert_eq!(queue.enqueue(b""), Err(Status::NotFound));
    }

    #[test]
    fn threads_lose_nothing() {
        let (queue, notes) = (queue(), Notes::new());
        queue.subscribe(subscription(1, &notes));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|_| queue.enqueue(b"entry").unwrap()));
            }
        });
        assert_eq!(notes.take(), [(1, 7)]);
        assert_eq!(std::iter::from_fn(|| queue.dequeue().ok()).count(), 1000);
        assert!(queue.begin_call(consumer(1)));
        queue.end_call(consumer(1));
        assert_eq!(notes.take(), [], "nothing is left to be called for");
    }

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..80)) {
            let queue = queue();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(entry) => {
                        queue.enqueue(&entry).unwrap();
                        model.push_back(entry);
                    }
                    None => prop_assert_eq!(queue.dequeue().ok(), model.pop_front()),
                }
            }
        }
    }
}
