//! The life of a slot: starts, deaths and retirement at once.

use std::time::Instant;

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::slot_state::{Phase, SlotState};
use super::sync::Ordering;

/// A slot whose VMs are numbers.
#[derive(Default)]
struct Slot {
    state: SlotState,
    vm: Mutex<Option<u64>>,
    /// Restarts that were asked for.
    restarts: AtomicUsize,
}

impl Slot {
    /// A slot in which VM 1 lives.
    fn with_vm() -> Arc<Self> {
        let slot = Arc::new(Self::default());
        assert!(slot.start(1));
        slot
    }

    /// Starts a VM of this number; true if it lives in the slot now.
    fn start(&self, number: u64) -> bool {
        self.state.begin()
            && self
                .state
                .arrived(number, || *self.vm.lock().expect("not poisoned") = Some(number))
    }

    /// The VM of this number has died; true if another is to be started.
    fn die(&self, number: u64) -> bool {
        let empty = || *self.vm.lock().expect("not poisoned") = None;
        let restart = self.state.died(number, Instant::now(), || true, empty).is_some();
        if restart {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        restart
    }

    /// The VM that streams find is the one that lives.
    fn check(&self) {
        let lives = match self.state.phase() {
            Phase::Live(number) => Some(number),
            _ => None,
        };
        assert_eq!(*self.vm.lock().expect("not poisoned"), lives);
    }
}

#[test]
fn a_retired_slot_starts_nothing_whenever_its_vm_dies() {
    loom::model(|| {
        let slot = Slot::with_vm();
        let dying = Arc::clone(&slot);
        let revives = thread::spawn(move || dying.die(1) && dying.start(2));
        slot.state.retire();
        let restarted = revives.join().expect("no panic");
        slot.check();
        let expected = if restarted { Phase::Live(2) } else { Phase::Empty };
        assert_eq!(slot.state.phase(), expected);
        // The successor, if there is one, was there before the reload; nothing follows it.
        assert!(!slot.die(2) && !slot.start(3));
        assert_eq!(slot.state.phase(), Phase::Empty);
        slot.check();
    });
}

#[test]
fn a_slot_that_is_retired_while_a_vm_starts_has_it_or_is_empty() {
    loom::model(|| {
        let slot = Arc::new(Slot::default());
        let starting = Arc::clone(&slot);
        let starts = thread::spawn(move || starting.start(1));
        slot.state.retire();
        let lives = starts.join().expect("no panic");
        assert_eq!(slot.state.phase() == Phase::Live(1), lives);
        slot.check();
    });
}

#[test]
fn a_death_that_two_threads_find_leads_to_one_restart() {
    loom::model(|| {
        let slot = Slot::with_vm();
        let other = Arc::clone(&slot);
        let found = thread::spawn(move || other.die(1));
        let restarts = usize::from(slot.die(1)) + usize::from(found.join().expect("no panic"));
        assert_eq!((restarts, slot.state.phase()), (1, Phase::BackOff));
        slot.check();
    });
}

#[test]
fn two_starts_at_once_bring_one_vm() {
    loom::model(|| {
        let slot = Arc::new(Slot::default());
        let other = Arc::clone(&slot);
        let starts = thread::spawn(move || other.start(1));
        let own = slot.start(2);
        assert!(own ^ starts.join().expect("no panic"));
        slot.check();
    });
}
