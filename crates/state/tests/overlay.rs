//! An overlay shows what exists, keeps changes to itself, and costs the same whatever exists.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use weir_abi::limits::{MAX_KEY, MAX_QUEUES, MAX_SHARED_DATA_BYTES, MAX_SHARED_DATA_KEYS};
use weir_abi::{ContextId, Status};
use weir_state::{MemoryStore, Queue, QueueWaker, StateHandle, Store, Stores, Usage};

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

fn handle(stores: &Stores) -> StateHandle {
    stores.handle("vm", 1, Arc::<Notes>::default())
}

fn read(store: &dyn Store, key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut out = Vec::new();
    store.get(key, &mut out).map(|cas| (out, cas))
}

#[test]
fn changes_of_a_trial_stay_in_it() {
    let stores = Stores::default();
    let base = stores.of("vm");
    base.set(b"kept", b"1", 0).unwrap();
    base.set(b"deleted", b"2", 0).unwrap();
    let trial = stores.overlay().of("vm");
    assert_eq!(read(&*trial, b"kept"), read(&*base, b"kept"));
    trial.set(b"kept", b"changed", 0).unwrap();
    trial.set(b"new", b"3", 0).unwrap();
    trial.delete(b"deleted").unwrap();
    assert_eq!(read(&*trial, b"kept").unwrap().0, b"changed");
    assert_eq!(read(&*trial, b"deleted"), None);
    assert_eq!(trial.delete(b"deleted"), Err(Status::NotFound));
    assert_eq!(read(&*base, b"kept").unwrap().0, b"1");
    assert_eq!(read(&*base, b"deleted").unwrap().0, b"2");
    assert_eq!(read(&*base, b"new"), None);
}

#[test]
fn a_trial_of_a_new_vm_id_leaves_no_store_behind() {
    let stores = Stores::default();
    let mut trial = handle(&stores.overlay());
    trial.store().set(b"key", b"1", 0).unwrap();
    trial.register(b"q", plugin(1)).unwrap();
    assert!(stores.usage().is_empty());
    assert_eq!(stores.resolve_queue("vm", b"q"), None);
}

#[test]
fn queues_keep_names_and_numbers_and_wake_nobody() {
    let stores = Stores::default();
    let notes = Arc::new(Notes::default());
    let mut real = stores.handle("vm", 1, notes.clone());
    let id = real.register(b"q", plugin(1)).unwrap();
    real.enqueue(id, b"waits").unwrap();
    notes.take();

    let overlay = stores.overlay();
    let mut trial = overlay.handle("other", 1, Arc::<Notes>::default());
    assert_eq!(trial.resolve("vm", b"q"), Some(id));
    assert_eq!(
        trial.dequeue(id),
        Err(Status::Empty),
        "an entry is not for trials"
    );
    trial.enqueue(id, b"tried").unwrap();
    assert_eq!(trial.dequeue(id), Ok(b"tried".to_vec()));
    assert_eq!(notes.take(), []);
    let own = trial.register(b"own", plugin(1)).unwrap();
    assert_eq!(own, id + 1);

    let later = real.register(b"later", plugin(1)).unwrap();
    assert_eq!(later, own, "each numbers on from what existed");
    assert_ne!(trial.resolve("vm", b"later"), Some(own));
    trial.enqueue(own, b"to its own").unwrap();
    assert_eq!(real.dequeue(later), Err(Status::Empty));
    assert_eq!(real.dequeue(id), Ok(b"waits".to_vec()));
}

#[test]
fn a_number_is_never_shown_for_two_values() {
    let stores = Stores::default();
    let base = stores.of("vm");
    let trial = stores.overlay().of("vm");
    base.set(b"key", b"1", 0).unwrap();
    let (_, first) = read(&*trial, b"key").unwrap();
    base.set(b"key", b"2", 0).unwrap();
    let (value, second) = read(&*trial, b"key").unwrap();
    assert_eq!(value, b"2", "reads fall through until the trial writes");
    trial.set(b"key", b"3", second).unwrap();
    for stale in [first, second] {
        assert_eq!(trial.set(b"key", b"4", stale), Err(Status::CasMismatch));
    }
    base.set(b"key", b"5", 0).unwrap();
    let (value, third) = read(&*trial, b"key").unwrap();
    assert_eq!(value, b"3");
    trial.delete(b"key").unwrap();
    trial.set(b"key", b"6", 0).unwrap();
    for stale in [first, second, third] {
        assert_eq!(trial.set(b"key", b"7", stale), Err(Status::CasMismatch));
    }
}

#[test]
fn the_limits_count_what_exists_and_what_the_trial_has_changed() {
    let stores = Stores::default();
    let base = stores.of("vm");
    let half = vec![0; MAX_SHARED_DATA_BYTES / 2];
    base.set(b"1", &half[1..], 0).unwrap();
    base.set(b"2", &half[1..], 0).unwrap();
    let trial = stores.overlay().of("vm");
    assert_eq!(trial.set(b"3", b"", 0), Err(Status::CasMismatch));
    assert_eq!(trial.set(b"2", &half, 0), Err(Status::CasMismatch));
    trial.set(b"2", &half[2..], 0).unwrap();
    trial.set(b"3", b"", 0).unwrap();
    assert_eq!(trial.set(b"4", b"", 0), Err(Status::CasMismatch));
    trial.delete(b"1").unwrap();
    let long = vec![0; MAX_KEY + 1];
    assert_eq!(trial.set(&long, b"", 0), Err(Status::CasMismatch));
    trial.set(b"1", &half[1..], 0).unwrap();
    assert_eq!(trial.usage().bytes, MAX_SHARED_DATA_BYTES);

    let many = stores.of("many");
    for key in 0..u32::try_from(MAX_SHARED_DATA_KEYS).unwrap() {
        many.set(&key.to_le_bytes(), b"", 0).unwrap();
    }
    let trial = stores.overlay().of("many");
    assert_eq!(trial.set(b"one more", b"", 0), Err(Status::CasMismatch));
    trial.delete(&7u32.to_le_bytes()).unwrap();
    trial.set(b"one more", b"", 0).unwrap();
    assert_eq!(trial.set(&7u32.to_le_bytes(), b"", 0), Err(Status::CasMismatch));
}

#[test]
fn the_number_of_queues_counts_those_that_exist() {
    let stores = Stores::default();
    for name in 1..u32::try_from(MAX_QUEUES).unwrap() {
        stores.open_queue("vm", &name.to_le_bytes()).unwrap();
    }
    let mut trial = handle(&stores.overlay());
    assert!(
        trial.register(&1u32.to_le_bytes(), plugin(1)).is_ok(),
        "it exists"
    );
    assert!(trial.register(b"last", plugin(1)).is_ok());
    assert_eq!(trial.register(b"more", plugin(1)), Err(Status::InternalFailure));
    assert_eq!(
        trial.register(&[0; MAX_KEY + 1], plugin(1)),
        Err(Status::BadArgument)
    );
    assert_eq!(stores.of("vm").usage().queues, MAX_QUEUES - 1);
}

#[test]
fn keys_that_come_and_go_leave_nothing_in_the_overlay() {
    let stores = Stores::default();
    stores.of("vm").set(b"key", b"1", 0).unwrap();
    let trial = stores.overlay().of("vm");
    for key in 0..1000u32 {
        trial.set(&key.to_le_bytes(), b"value", 0).unwrap();
        trial.delete(&key.to_le_bytes()).unwrap();
    }
    assert_eq!(trial.usage(), stores.of("vm").usage());
}

/// Counts what it is asked for.
#[derive(Default)]
struct Counting {
    store: MemoryStore,
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counting {
    fn count(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.store
    }
}

impl Store for Counting {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        let before = out.len();
        let cas = self.count().get(key, out);
        self.bytes.fetch_add(out.len() - before, Ordering::Relaxed);
        cas
    }

    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        self.count().set(key, value, cas)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Status> {
        self.count().delete(key)
    }

    fn next_cas(&self) -> u32 {
        self.count().next_cas()
    }

    fn open_queue(&self, name: &[u8]) -> Result<Arc<dyn Queue>, Status> {
        self.count().open_queue(name)
    }

    fn find_queue(&self, name: &[u8]) -> Option<Arc<dyn Queue>> {
        self.count().find_queue(name)
    }

    fn usage(&self) -> Usage {
        self.count().usage()
    }
}

/// What one and the same trial asks of a store with so many keys: calls, and bytes that were read.
fn asked_by_a_trial(keys: u32) -> (usize, usize) {
    let (stores, store) = (Stores::default(), Arc::new(Counting::default()));
    stores.map("vm", store.clone());
    for key in 0..keys {
        store.store.set(&key.to_le_bytes(), b"value", 0).unwrap();
    }
    for name in 0..keys.min(1000) {
        let id = stores.open_queue("vm", &name.to_le_bytes()).unwrap();
        stores.queue(id).unwrap().enqueue(b"entry").unwrap();
    }
    store.calls.store(0, Ordering::Relaxed);
    let mut trial = handle(&stores.overlay());
    let state = trial.store();
    state.get(&1u32.to_le_bytes(), &mut Vec::new()).unwrap();
    state.set(&2u32.to_le_bytes(), b"changed", 0).unwrap();
    state.delete(&3u32.to_le_bytes()).unwrap();
    state.set(b"new", b"", 0).unwrap();
    let known = trial.register(&1u32.to_le_bytes(), plugin(1)).unwrap();
    let new = trial.register(b"new", plugin(1)).unwrap();
    for id in [known, new] {
        trial.enqueue(id, b"tried").unwrap();
        trial.dequeue(id).unwrap();
    }
    drop(trial);
    (
        store.calls.load(Ordering::Relaxed),
        store.bytes.load(Ordering::Relaxed),
    )
}

#[test]
fn a_trial_costs_the_same_whatever_exists() {
    let few = asked_by_a_trial(10);
    assert_eq!(asked_by_a_trial(1_000), few);
    assert_eq!(asked_by_a_trial(100_000), few);
    assert!(few.0 > 0);
}

/// One step of a guest.
#[derive(Clone, Debug)]
enum Step {
    Get(usize, u8),
    /// Sets a value with a number: 0, the one that was read last, or the one that was read first.
    Set(usize, u8, Vec<u8>, Number),
    Delete(usize, u8),
    Register(usize, u8),
    Resolve(usize, usize, u8),
    Enqueue(usize, u32, Vec<u8>),
    Dequeue(usize, u32),
    Deliver(usize),
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Zero,
    Last,
    First,
}

const VM_IDS: [&str; 2] = ["a", "b"];

/// Two VMs of two vm_ids.
struct World {
    stores: Stores,
    handles: Vec<StateHandle>,
    notes: Vec<Arc<Notes>>,
    read: HashMap<(usize, u8), Vec<u32>>,
}

impl World {
    fn new(stores: Stores) -> Self {
        let notes: Vec<Arc<Notes>> = VM_IDS.iter().map(|_| Arc::default()).collect();
        let handles = VM_IDS.iter().zip(&notes).zip(1..);
        Self {
            handles: handles
                .map(|((vm_id, notes), vm)| stores.handle(vm_id, vm, notes.clone()))
                .collect(),
            notes,
            stores,
            read: HashMap::new(),
        }
    }

    /// Makes a step and says all that can be seen of its outcome.
    fn run(&mut self, step: &Step) -> String {
        match step {
            Step::Get(vm, key) => {
                let value = read(self.handles[*vm].store(), &[*key]);
                if let Some((_, cas)) = value {
                    self.read.entry((*vm, *key)).or_default().push(cas);
                }
                format!("{value:?}")
            }
            Step::Set(vm, key, value, number) => {
                let read = self.read.get(&(*vm, *key));
                let cas = match number {
                    Number::Zero => 0,
                    Number::Last => read.and_then(|read| read.last()).copied().unwrap_or(1),
                    Number::First => read.and_then(|read| read.first()).copied().unwrap_or(1),
                };
                format!("{:?}", self.handles[*vm].store().set(&[*key], value, cas))
            }
            Step::Delete(vm, key) => format!("{:?}", self.handles[*vm].store().delete(&[*key])),
            Step::Register(vm, name) => {
                format!("{:?}", self.handles[*vm].register(&[*name], plugin(1)))
            }
            Step::Resolve(vm, of, name) => {
                format!("{:?}", self.handles[*vm].resolve(VM_IDS[*of], &[*name]))
            }
            Step::Enqueue(vm, id, entry) => format!("{:?}", self.handles[*vm].enqueue(*id, entry)),
            Step::Dequeue(vm, id) => format!("{:?}", self.handles[*vm].dequeue(*id)),
            Step::Deliver(vm) => {
                let notes = self.notes[*vm].take();
                let called = notes.iter().map(|(_, id)| {
                    let called = self.handles[*vm].begin_call(*id, plugin(1));
                    let entry = self.handles[*vm].dequeue(*id);
                    self.handles[*vm].end_call(*id, plugin(1));
                    (*id, called, entry)
                });
                format!("{:?}", called.collect::<Vec<_>>())
            }
        }
    }

    /// All values with their numbers, and what the stores say that they hold.
    fn dump(&self) -> Vec<String> {
        let one = |handle: &StateHandle| {
            let values: Vec<_> = (0..6).map(|key| read(handle.store(), &[key])).collect();
            format!("{values:?} {:?}", handle.store().usage())
        };
        self.handles.iter().map(one).collect()
    }

    /// Takes everything out of every queue.
    fn drain(&mut self) -> Vec<(u32, Vec<u8>)> {
        let ids = (1..20).filter(|id| self.stores.queue(*id).is_some());
        let entries = ids.collect::<Vec<_>>().into_iter().flat_map(|id| {
            let queue = self.stores.queue(id).unwrap();
            std::iter::from_fn(move || Some((id, queue.dequeue().ok()?)))
        });
        entries.collect()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (vm, key, name, id) = (0..2usize, 0..6u8, 0..4u8, 0..7u32);
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let number = prop_oneof![Just(Number::Zero), Just(Number::Last), Just(Number::First)];
    prop_oneof![
        (vm.clone(), key.clone()).prop_map(|(vm, key)| Step::Get(vm, key)),
        (vm.clone(), key.clone(), bytes(), number)
            .prop_map(|(vm, key, value, number)| Step::Set(vm, key, value, number)),
        (vm.clone(), key).prop_map(|(vm, key)| Step::Delete(vm, key)),
        (vm.clone(), name.clone()).prop_map(|(vm, name)| Step::Register(vm, name)),
        (vm.clone(), vm.clone(), name).prop_map(|(vm, of, name)| Step::Resolve(vm, of, name)),
        (vm.clone(), id.clone(), bytes()).prop_map(|(vm, id, entry)| Step::Enqueue(vm, id, entry)),
        (vm.clone(), id).prop_map(|(vm, id)| Step::Dequeue(vm, id)),
        vm.prop_map(Step::Deliver),
    ]
}

proptest! {
    #[test]
    fn a_trial_on_an_overlay_sees_what_it_would_see_on_a_copy(
        before in prop::collection::vec(step(), 0..40),
        tried in prop::collection::vec(step(), 0..60),
    ) {
        // The same history twice: below the overlay, and as the copy, whose queues are empty and without consumers.
        let (mut base, mut copy) = (World::new(Stores::default()), World::new(Stores::default()));
        for step in &before {
            prop_assert_eq!(base.run(step), copy.run(step));
        }
        copy.drain();
        let copied = copy.stores.clone();
        drop(copy);

        let untouched = base.dump();
        let notes: Vec<_> = base.notes.iter().map(|notes| notes.take()).collect();
        let (mut trial, mut copy) = (World::new(base.stores.overlay()), World::new(copied));
        prop_assert_eq!(trial.dump(), copy.dump());
        for step in &tried {
            prop_assert_eq!(trial.run(step), copy.run(step), "{:?}", step);
        }
        prop_assert_eq!(trial.dump(), copy.dump());
        prop_assert_eq!(trial.drain(), copy.drain());
        drop(trial);

        prop_assert_eq!(base.dump(), untouched);
        for (now, before) in base.notes.iter().zip(notes) {
            prop_assert!(now.take().is_empty(), "the trial woke a consumer of {:?}", before);
        }
        let mut alone = World::new(Stores::default());
        for step in &before {
            alone.run(step);
        }
        prop_assert_eq!(base.drain(), alone.drain());
    }
}
