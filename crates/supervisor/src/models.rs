//! Model checks: loom runs every interleaving of the threads in each test. The protocols are the crate's own files, read once
//! more with loom's primitives.
#![allow(
    clippy::duplicate_mod,
    reason = "loom's primitives take the place of the standard library's"
)]

#[allow(dead_code, reason = "the models use what they check")]
#[path = "life.rs"]
mod life;
#[allow(dead_code, reason = "the models use what they check")]
#[path = "wakeup.rs"]
mod wakeup;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

use std::time::Instant;

use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Arc, Mutex};
use loom::thread;

use self::life::{Life, Phase};
use self::sync::Ordering;
use self::wakeup::{Target, Wakeup};

/// A slot whose VMs are numbers.
#[derive(Default)]
struct Slot {
    life: Life,
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
        self.life.begin()
            && self
                .life
                .arrived(number, || *self.vm.lock().expect("not poisoned") = Some(number))
    }

    /// The VM of this number has died; true if another is to be started.
    fn die(&self, number: u64) -> bool {
        let empty = || *self.vm.lock().expect("not poisoned") = None;
        let restart = self.life.died(number, Instant::now(), || true, empty).is_some();
        if restart {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        restart
    }

    /// The VM that streams find is the one that lives.
    fn check(&self) {
        let lives = match self.life.phase() {
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
        slot.life.retire();
        let restarted = revives.join().expect("no panic");
        slot.check();
        let expected = if restarted { Phase::Live(2) } else { Phase::Empty };
        assert_eq!(slot.life.phase(), expected);
        // The successor, if there is one, was there before the reload; nothing follows it.
        assert!(!slot.die(2) && !slot.start(3));
        assert_eq!(slot.life.phase(), Phase::Empty);
        slot.check();
    });
}

#[test]
fn a_slot_that_is_retired_while_a_vm_starts_has_it_or_is_empty() {
    loom::model(|| {
        let slot = Arc::new(Slot::default());
        let starting = Arc::clone(&slot);
        let starts = thread::spawn(move || starting.start(1));
        slot.life.retire();
        let lives = starts.join().expect("no panic");
        assert_eq!(slot.life.phase() == Phase::Live(1), lives);
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
        assert_eq!((restarts, slot.life.phase()), (1, Phase::BackOff));
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

/// Counts events.
struct Events(Arc<Counts>);

#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    cancelled: AtomicUsize,
}

impl Counts {
    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Target for Events {
    fn send(&mut self) -> bool {
        self.0.sent.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn cancel(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

/// A piece of work, what it waits for, and the events that wake it.
#[derive(Default)]
struct Work {
    wakeup: Wakeup<Events>,
    ready: AtomicBool,
    events: Arc<Counts>,
}

impl Work {
    fn new() -> Arc<Self> {
        let work = Arc::new(Self::default());
        work.wakeup.aim(|_| Events(Arc::clone(&work.events)));
        work
    }

    /// A thread works: looks until nothing has woken it since. True if it has seen what it waits for.
    fn work(&self) -> bool {
        self.wakeup.enter();
        let mut seen;
        loop {
            self.wakeup.take();
            seen = self.ready.load(Ordering::Relaxed);
            if seen || !self.wakeup.take() {
                break;
            }
        }
        if self.wakeup.leave() {
            assert!(self.wakeup.send());
        }
        seen
    }

    /// What is waited for happens.
    fn happen(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if self.wakeup.wake() {
            assert!(self.wakeup.send());
        }
    }
}

#[test]
fn a_wake_up_against_a_thread_at_work_is_seen_or_sent() {
    loom::model(|| {
        let work = Work::new();
        let other = Arc::clone(&work);
        let working = thread::spawn(move || other.work());
        work.happen();
        let seen = working.join().expect("no panic");
        let sent = work.events.sent();
        assert!(seen || sent == 1, "lost");
        assert!(sent <= 1);
        if sent == 1 {
            // Whoever gets the event sees what has happened.
            work.wakeup.arrived();
            assert!(work.work());
        }
    });
}

#[test]
fn two_wake_ups_lead_to_one_event() {
    loom::model(|| {
        let work = Work::new();
        let other = Arc::clone(&work);
        let waking = thread::spawn(move || other.happen());
        work.wake();
        waking.join().expect("no panic");
        assert_eq!(work.events.sent(), 1);
    });
}

#[test]
fn no_event_outlives_a_disarmed_target() {
    loom::model(|| {
        let work = Work::new();
        let other = Arc::clone(&work);
        let waking = thread::spawn(move || other.happen());
        work.wakeup.disarm();
        waking.join().expect("no panic");
        assert_eq!(work.events.sent(), work.events.cancelled.load(Ordering::SeqCst));
    });
}
