//! Shared queues: entries that any VM puts in and that plugin contexts are woken to take out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use weir_abi::{ContextId, Status};
use weir_abi::limits::{MAX_KEY, MAX_QUEUE_BYTES, MAX_QUEUE_ENTRIES, MAX_QUEUES};

use super::key::{Scoped, ScopedKey};

/// How the host tells a proxy that a queue has something for a plugin of a VM.
///
/// Called from any thread, also from inside another VM's hostcall: it must only leave a note for the thread of its VM,
/// which then calls `on_queue_ready` of the VM.
pub trait QueueWaker: Send + Sync {
    /// Plugin context `plugin` of this waker's VM shall look into `queue`.
    fn wake(&self, plugin: ContextId, queue: u32);
}

/// The shared queues of a process. A queue lives as long as the process, with or without consumers.
#[derive(Default)]
pub struct SharedQueues {
    directory: RwLock<Directory>,
}

#[derive(Default)]
struct Directory {
    ids: HashMap<ScopedKey, u32>,
    /// The queue with number `id` lies at `id - 1`.
    queues: Vec<Arc<Queue>>,
    per_vm_id: HashMap<Box<str>, usize>,
}

#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
    consumers: Vec<Consumer>,
    /// Consumer that is woken next.
    turn: usize,
}

struct Consumer {
    vm: u64,
    plugin: ContextId,
    waker: Arc<dyn QueueWaker>,
    /// A note lies with the waker and has not been acted upon. There is never a second one: a guest that fills its own
    /// queue must not fill the proxy's memory with notes.
    noted: bool,
    /// Entries that it is still to be called for. Guests may take one entry a call.
    owed: usize,
}

impl SharedQueues {
    /// Opens the queue of this name, made if it is new, and adds plugin context `plugin` of VM `vm` to its consumers.
    /// To register again changes nothing. What lies in the queue already wakes a new consumer.
    ///
    /// Returns the queue's number, which is not 0 and unique in the process. `BadArgument` for a name that is too long,
    /// `InternalFailure` where the vm_id has too many queues.
    pub fn register(
        &self,
        vm_id: &str,
        name: &[u8],
        vm: u64,
        plugin: ContextId,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<u32, Status> {
        let id = self.open(vm_id, name)?;
        if self.consume(id, vm, plugin, waker) {
            Ok(id)
        } else {
            Err(Status::InternalFailure)
        }
    }

    /// Adds plugin context `plugin` of VM `vm` to the consumers of a queue; whether there is such a queue.
    pub fn consume(&self, id: u32, vm: u64, plugin: ContextId, waker: Arc<dyn QueueWaker>) -> bool {
        let Some(queue) = self.find(id) else {
            return false;
        };
        let mut state = queue.lock();
        let known = state
            .consumers
            .iter()
            .any(|known| known.vm == vm && known.plugin == plugin);
        if known {
            return true;
        }
        let owed = state.entries.len();
        let mut consumer = Consumer {
            vm,
            plugin,
            waker,
            noted: false,
            owed,
        };
        let note = consumer.note();
        state.consumers.push(consumer);
        drop(state);
        give(note, id);
        true
    }

    /// The queues that a VM consumes, each with the plugin context that does.
    pub fn consumed_by(&self, vm: u64) -> Vec<(u32, ContextId)> {
        let queues = self.all();
        let consumers = (1..).zip(queues).flat_map(|(id, queue)| {
            let state = queue.lock();
            let own = state.consumers.iter().filter(|consumer| consumer.vm == vm);
            own.map(|consumer| (id, consumer.plugin)).collect::<Vec<_>>()
        });
        consumers.collect()
    }

    fn all(&self) -> Vec<Arc<Queue>> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        directory.queues.clone()
    }

    /// The number of the queue that somebody has registered under this name.
    pub fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        directory.ids.get(&(vm_id, name) as &dyn Scoped).copied()
    }

    /// Puts an entry at the end and wakes one consumer, each in its turn.
    ///
    /// `NotFound` where there is no such queue, and where it is full: it is the one refusal that SDKs take without a
    /// panic, and a consumer that stands still must not bring down those who produce.
    pub fn enqueue(&self, id: u32, entry: &[u8]) -> Result<(), Status> {
        let queue = self.find(id).ok_or(Status::NotFound)?;
        let mut state = queue.lock();
        let bytes = state.bytes.saturating_add(entry.len());
        if bytes > MAX_QUEUE_BYTES || state.entries.len() >= MAX_QUEUE_ENTRIES {
            return Err(Status::NotFound);
        }
        state.bytes = bytes;
        state.entries.push_back(entry.to_vec());
        let note = state.owe(1);
        // A waker may take locks of its own.
        drop(state);
        give(note, id);
        Ok(())
    }

    /// The note of a consumer is being acted upon: whether it is still to be called.
    pub fn begin(&self, id: u32, vm: u64, plugin: ContextId) -> bool {
        let Some(queue) = self.find(id) else {
            return false;
        };
        let mut state = queue.lock();
        let Some(consumer) = state.consumer(vm, plugin) else {
            return false;
        };
        consumer.noted = false;
        consumer.owed = consumer.owed.saturating_sub(1);
        true
    }

    /// The consumer has been called; it is noted again if there is more for it.
    pub fn end(&self, id: u32, vm: u64, plugin: ContextId) {
        let Some(queue) = self.find(id) else {
            return;
        };
        let mut state = queue.lock();
        let waiting = state.entries.len();
        let Some(consumer) = state.consumer(vm, plugin) else {
            return;
        };
        consumer.owed = consumer.owed.min(waiting);
        let note = consumer.note();
        drop(state);
        give(note, id);
    }

    /// Takes the oldest entry. `Empty` where there is none, `NotFound` where there is no such queue.
    pub fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        let queue = self.find(id).ok_or(Status::NotFound)?;
        let mut state = queue.lock();
        let entry = state.entries.pop_front().ok_or(Status::Empty)?;
        state.bytes -= entry.len();
        Ok(entry)
    }

    /// Forgets the consumers of a VM, which has ended. What it was woken for and did not take wakes another one.
    pub fn forget(&self, vm: u64) {
        for (id, queue) in (1..).zip(self.all()) {
            let mut state = queue.lock();
            let before = state.consumers.len();
            state.consumers.retain(|consumer| consumer.vm != vm);
            let orphaned = if state.consumers.len() < before {
                state.entries.len()
            } else {
                0
            };
            let note = state.owe(orphaned);
            drop(state);
            give(note, id);
        }
    }

    /// Queues of the same names and numbers, empty and without consumers.
    pub fn copy(&self) -> Self {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let copy = Directory {
            ids: directory.ids.clone(),
            queues: directory.queues.iter().map(|_| Arc::default()).collect(),
            per_vm_id: directory.per_vm_id.clone(),
        };
        Self {
            directory: RwLock::new(copy),
        }
    }

    fn open(&self, vm_id: &str, name: &[u8]) -> Result<u32, Status> {
        if name.len() > MAX_KEY {
            return Err(Status::BadArgument);
        }
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = directory.ids.get(&(vm_id, name) as &dyn Scoped) {
            return Ok(*id);
        }
        let held = directory.per_vm_id.entry(vm_id.into()).or_default();
        if *held >= MAX_QUEUES {
            return Err(Status::InternalFailure);
        }
        *held += 1;
        directory.queues.push(Arc::default());
        let id = u32::try_from(directory.queues.len()).map_err(|_| Status::InternalFailure)?;
        directory.ids.insert(ScopedKey::new(vm_id, name), id);
        Ok(id)
    }

    fn find(&self, id: u32) -> Option<Arc<Queue>> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .queues
            .get(index)
            .cloned()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next consumer is to be called for so many entries.
    fn owe(&mut self, entries: usize) -> Option<Note> {
        let turn = self.turn % self.consumers.len().max(1);
        let consumer = self.consumers.get_mut(turn)?;
        consumer.owed += entries;
        self.turn = self.turn.wrapping_add(1);
        consumer.note()
    }

    fn consumer(&mut self, vm: u64, plugin: ContextId) -> Option<&mut Consumer> {
        let is = |consumer: &&mut Consumer| consumer.vm == vm && consumer.plugin == plugin;
        self.consumers.iter_mut().find(is)
    }
}

/// A note that is to be given to a waker once no lock is held.
type Note = (Arc<dyn QueueWaker>, ContextId);

impl Consumer {
    fn note(&mut self) -> Option<Note> {
        if self.owed == 0 || self.noted {
            return None;
        }
        self.noted = true;
        Some((Arc::clone(&self.waker), self.plugin))
    }
}

fn give(note: Option<Note>, queue: u32) {
    if let Some((waker, plugin)) = note {
        waker.wake(plugin, queue);
    }
}

impl std::fmt::Debug for SharedQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queues = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .queues
            .len();
        f.debug_struct("SharedQueues")
            .field("queues", &queues)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Remembers what it was woken for.
    #[derive(Default)]
    struct Notes(Mutex<Vec<(u32, u32)>>);

    impl QueueWaker for Notes {
        fn wake(&self, plugin: ContextId, queue: u32) {
            self.0.lock().unwrap().push((plugin.wire(), queue));
        }
    }

    impl Notes {
        fn take(&self) -> Vec<(u32, u32)> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn plugin(id: u32) -> ContextId {
        ContextId::new(id).unwrap()
    }

    #[test]
    fn registered_once_and_resolved_by_vm_id_and_name() {
        let queues = SharedQueues::default();
        let notes = Arc::new(Notes::default());
        let id = queues.register("vm", b"q", 1, plugin(1), notes.clone()).unwrap();
        assert_ne!(id, 0);
        assert_eq!(queues.register("vm", b"q", 1, plugin(1), notes.clone()), Ok(id));
        let other = queues
            .register("other", b"q", 1, plugin(1), notes.clone())
            .unwrap();
        assert_ne!(other, id);
        assert_eq!(queues.resolve("vm", b"q"), Some(id));
        assert_eq!(queues.resolve("other", b"q"), Some(other));
        assert_eq!(queues.resolve("vm", b"none"), None);

        queues.enqueue(id, b"entry").unwrap();
        assert_eq!(notes.take(), [(1, id)], "one consumer, one wake-up");
    }

    #[test]
    fn first_in_first_out() {
        let queues = SharedQueues::default();
        let id = queues
            .register("vm", b"q", 1, plugin(1), Arc::new(Notes::default()))
            .unwrap();
        queues.enqueue(id, b"1").unwrap();
        queues.enqueue(id, b"").unwrap();
        assert_eq!(queues.dequeue(id), Ok(b"1".to_vec()));
        assert_eq!(queues.dequeue(id), Ok(b"".to_vec()));
        assert_eq!(queues.dequeue(id), Err(Status::Empty));
        for unknown in [0, id + 1, u32::MAX] {
            assert_eq!(queues.dequeue(unknown), Err(Status::NotFound));
            assert_eq!(queues.enqueue(unknown, b""), Err(Status::NotFound));
        }
    }

    #[test]
    fn consumers_take_turns() {
        let queues = SharedQueues::default();
        let (first, second) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let id = queues.register("vm", b"q", 1, plugin(1), first.clone()).unwrap();
        queues.register("vm", b"q", 2, plugin(1), second.clone()).unwrap();
        for _ in 0..4 {
            queues.enqueue(id, b"").unwrap();
        }
        let calls = |vm, notes: &Notes| {
            let mut calls = 0;
            while let [(_, queue)] = notes.take()[..] {
                assert!(queues.begin(queue, vm, plugin(1)));
                calls += 1;
                queues.end(queue, vm, plugin(1));
            }
            calls
        };
        assert_eq!((calls(1, &first), calls(2, &second)), (2, 2));
    }

    #[test]
    fn a_dead_consumers_entries_go_to_those_that_live() {
        let queues = SharedQueues::default();
        let (dead, living, late) = (
            Arc::new(Notes::default()),
            Arc::new(Notes::default()),
            Arc::new(Notes::default()),
        );
        let id = queues.register("vm", b"q", 1, plugin(1), dead.clone()).unwrap();
        queues.enqueue(id, b"entry").unwrap();
        assert_eq!(dead.take(), [(1, id)]);
        queues.register("vm", b"q", 2, plugin(5), living.clone()).unwrap();
        assert_eq!(living.take(), [(5, id)], "entries that wait wake a new consumer");
        queues.forget(1);
        queues.enqueue(id, b"entry").unwrap();
        assert_eq!(
            (dead.take(), living.take()),
            (vec![], vec![]),
            "it has a note already"
        );
        assert!(queues.begin(id, 2, plugin(5)));
        queues.end(id, 2, plugin(5));
        assert_eq!(living.take(), [(5, id)], "one call for each entry");
        assert!(!queues.begin(id, 1, plugin(1)), "the dead are not called");

        queues.forget(2);
        queues.enqueue(id, b"entry").unwrap();
        assert_eq!(living.take(), []);
        queues.register("vm", b"q", 3, plugin(1), late.clone()).unwrap();
        assert_eq!(late.take(), [(1, id)]);
        assert_eq!(
            (0..3).filter(|_| queues.dequeue(id).is_ok()).count(),
            3,
            "no entry was lost"
        );
    }

    #[test]
    fn limits_hold_and_what_is_taken_makes_room() {
        let queues = SharedQueues::default();
        let notes = Arc::new(Notes::default());
        let id = queues.register("vm", b"q", 1, plugin(1), notes.clone()).unwrap();
        queues.enqueue(id, &vec![0; MAX_QUEUE_BYTES]).unwrap();
        assert_eq!(queues.enqueue(id, b"x"), Err(Status::NotFound));
        queues.dequeue(id).unwrap();
        for _ in 0..MAX_QUEUE_ENTRIES {
            queues.enqueue(id, b"").unwrap();
        }
        assert_eq!(queues.enqueue(id, b""), Err(Status::NotFound));

        assert_eq!(
            queues.register("vm", &[0; MAX_KEY + 1], 1, plugin(1), notes.clone()),
            Err(Status::BadArgument)
        );
        for name in 1..u32::try_from(MAX_QUEUES).unwrap() {
            queues
                .register("vm", &name.to_le_bytes(), 1, plugin(1), notes.clone())
                .unwrap();
        }
        assert_eq!(
            queues.register("vm", b"more", 1, plugin(1), notes.clone()),
            Err(Status::InternalFailure)
        );
        queues.register("other", b"more", 1, plugin(1), notes).unwrap();
    }

    #[test]
    fn threads_lose_nothing() {
        let queues = SharedQueues::default();
        let notes = Arc::new(Notes::default());
        let id = queues.register("vm", b"q", 1, plugin(1), notes.clone()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|_| queues.enqueue(id, b"entry").unwrap()));
            }
        });
        assert_eq!(notes.take(), [(1, id)]);
        assert_eq!(std::iter::from_fn(|| queues.dequeue(id).ok()).count(), 1000);
        assert!(queues.begin(id, 1, plugin(1)));
        queues.end(id, 1, plugin(1));
        assert_eq!(notes.take(), [], "nothing is left to be called for");
    }

    #[test]
    fn a_copy_knows_the_names_and_wakes_nobody() {
        let queues = SharedQueues::default();
        let notes = Arc::new(Notes::default());
        let id = queues.register("vm", b"q", 1, plugin(1), notes.clone()).unwrap();
        let copy = queues.copy();
        assert_eq!(copy.resolve("vm", b"q"), Some(id));
        copy.enqueue(id, b"entry").unwrap();
        assert_eq!(notes.take(), []);
        assert_eq!(queues.dequeue(id), Err(Status::Empty));
    }

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..80)) {
            let queues = SharedQueues::default();
            let id = queues.register("vm", b"q", 1, plugin(1), Arc::new(Notes::default())).unwrap();
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(entry) => {
                        queues.enqueue(id, &entry).unwrap();
                        model.push_back(entry);
                    }
                    None => prop_assert_eq!(queues.dequeue(id).ok(), model.pop_front()),
                }
            }
        }
    }
}
