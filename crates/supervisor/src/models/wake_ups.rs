//! Wake-ups: of a thread that works, of an event that arrives, and of one that cannot be sent.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::thread;

use super::sync::Ordering;
use super::wakeup::{Target, Wakeup};

/// Counts events, once it lets any through.
struct Events(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Attempts that fail before one does not.
    refusals: AtomicUsize,
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
        // The lock of the wake-up is held, so nobody changes the number in between.
        let refusals = self.0.refusals.load(Ordering::SeqCst);
        if refusals > 0 {
            self.0.refusals.store(refusals - 1, Ordering::SeqCst);
            return false;
        }
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
    /// Entries in the queue of wake-ups whose event could not be sent.
    queued: AtomicUsize,
}

impl Work {
    fn new() -> Arc<Self> {
        Self::refusing(0)
    }

    /// Work whose first events cannot be sent.
    fn refusing(refusals: usize) -> Arc<Self> {
        let work = Arc::new(Self::default());
        work.events.refusals.store(refusals, Ordering::SeqCst);
        work.wakeup.aim(|_| Events(Arc::clone(&work.events)));
        work
    }

    /// A thread works: looks until nothing has woken it since. True if it has seen what it waits for.
    fn work(&self) -> bool {
        self.wakeup.enter();
        self.look_and_leave()
    }

    /// A thread has got the event, and works.
    fn work_on_event(&self) -> bool {
        self.wakeup.enter();
        self.wakeup.arrived();
        self.look_and_leave()
    }

    fn look_and_leave(&self) -> bool {
        let mut seen;
        loop {
            self.wakeup.take();
            seen = self.ready.load(Ordering::Relaxed);
            if seen || !self.wakeup.take() {
                break;
            }
        }
        if self.wakeup.leave() {
            self.send();
        }
        seen
    }

    /// The event that the work waits for happens.
    fn happen(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if self.wakeup.wake() {
            self.send();
        }
    }

    fn send(&self) {
        if !self.wakeup.send() {
            self.queued.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Takes the entries out of the queue, and sends their events.
    fn send_queued(&self) {
        for _ in 0..self.queued.swap(0, Ordering::SeqCst) {
            while !self.wakeup.retry() {}
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
            assert!(work.work_on_event());
        }
    });
}

#[test]
fn a_wake_up_against_an_event_that_arrives_is_seen_or_sent() {
    loom::model(|| {
        let work = Work::new();
        // An event is on its way.
        work.wake();
        let other = Arc::clone(&work);
        let waking = thread::spawn(move || other.happen());
        let seen = work.work_on_event();
        waking.join().expect("no panic");
        let sent = work.events.sent();
        assert!(seen || sent == 2, "lost");
        if sent == 2 {
            assert!(work.work_on_event());
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
fn wake_ups_that_cannot_be_sent_make_one_entry_in_the_queue() {
    loom::model(|| {
        // More attempts than there are.
        let work = Work::refusing(10);
        let other = Arc::clone(&work);
        let waking = thread::spawn(move || {
            other.happen();
            other.wake();
        });
        work.wake();
        waking.join().expect("no panic");
        assert_eq!((work.queued.load(Ordering::SeqCst), work.events.sent()), (1, 0));
        work.send_queued();
        assert_eq!(work.events.sent(), 1);
        assert!(work.work_on_event());
    });
}

#[test]
fn a_wake_up_against_the_queue_s_retry_is_sent() {
    for refusals in 1..=2 {
        loom::model(move || {
            let work = Work::refusing(refusals);
            work.wake();
            let other = Arc::clone(&work);
            let retrying = thread::spawn(move || other.send_queued());
            work.happen();
            retrying.join().expect("no panic");
            // The queue may have been emptied before the second entry came.
            assert!(work.queued.load(Ordering::SeqCst) <= 1);
            work.send_queued();
            assert_eq!(work.events.sent(), 1);
            assert!(work.work_on_event());
        });
    }
}

#[test]
fn an_event_that_cannot_be_sent_against_a_thread_at_work_is_seen_or_sent() {
    loom::model(|| {
        let work = Work::refusing(1);
        let other = Arc::clone(&work);
        let working = thread::spawn(move || other.work());
        work.happen();
        let seen = working.join().expect("no panic");
        work.send_queued();
        let sent = work.events.sent();
        assert!(seen || sent == 1, "lost");
        assert!(sent <= 1);
        if sent == 1 {
            assert!(work.work_on_event());
        }
    });
}

#[test]
fn no_event_outlives_a_disarmed_target() {
    for refusals in 0..=1 {
        loom::model(move || {
            let work = Work::refusing(refusals);
            let other = Arc::clone(&work);
            let waking = thread::spawn(move || {
                other.happen();
                other.send_queued();
            });
            work.wakeup.disarm();
            waking.join().expect("no panic");
            assert_eq!(work.events.sent(), work.events.cancelled.load(Ordering::SeqCst));
        });
    }
}
