//! Waking work that one thread at a time does: a wake-up is never lost, and never leads to more than one event at a time.
//!
//! A thread that works on something calls [`Wakeup::enter`] and [`Wakeup::leave`] around it. A waker that fires meanwhile
//! only leaves a note, which the thread finds when it looks or leaves; a waker that fires at other times sends an event
//! ([`Target::send`]), upon which a thread begins to work. Where no event can be sent right now, one caller has it sent
//! later, however many wakers fire until then.

use std::sync::PoisonError;

use super::sync::{AtomicU8, Mutex, MutexGuard, Ordering};

/// A wake-up has come since the last look.
const WOKEN: u8 = 1;

/// A thread works, and will look.
const INSIDE: u8 = 2;

/// The way to the thread that is to do the work.
pub trait Target {
    /// Sends an event, upon which a thread begins to work and calls [`Wakeup::arrived`]. Called under a lock, and not again
    /// before the event has arrived. `false`: not possible right now; the first caller of [`Wakeup::send`] that finds it so
    /// has [`Wakeup::retry`] called later.
    fn send(&mut self) -> bool;

    /// Takes the event back that has been sent and has not arrived.
    fn cancel(&mut self);
}

/// The target of the wakers of a piece of work.
pub struct Wakeup<T> {
    /// [`WOKEN`] and [`INSIDE`] in one word, so that of a waker and a thread that leaves one always sees what the other
    /// wrote.
    state: AtomicU8,
    events: Mutex<Events<T>>,
}

/// The events of a piece of work: at most one on its way, and at most one that is to be sent later.
struct Events<T> {
    aim: Option<Aim<T>>,
    /// Somebody calls [`Wakeup::retry`].
    retrying: bool,
}

struct Aim<T> {
    target: T,
    /// An event has been sent and has not arrived.
    sent: bool,
}

impl<T> Default for Wakeup<T> {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(0),
            events: Mutex::new(Events {
                aim: None,
                retrying: false,
            }),
        }
    }
}

impl<T: Target> Wakeup<T> {
    /// Work begins: wake-ups are only noted until [`Wakeup::leave`].
    pub fn enter(&self) {
        self.state.fetch_or(INSIDE, Ordering::AcqRel);
    }

    /// Work ends. `true`: a wake-up has come since [`Wakeup::take`] last looked, and the caller sends an event
    /// ([`Wakeup::send`]).
    #[must_use]
    pub fn leave(&self) -> bool {
        self.state.fetch_and(!INSIDE, Ordering::AcqRel) & WOKEN != 0
    }

    /// Notes a wake-up. `true`: no thread works, and the caller sends an event ([`Wakeup::send`]).
    #[must_use]
    pub fn wake(&self) -> bool {
        self.state.fetch_or(WOKEN, Ordering::AcqRel) & INSIDE == 0
    }

    /// Returns true if a wake-up has come since the last look. Called by the thread that works, before it looks at what may
    /// have changed.
    pub fn take(&self) -> bool {
        self.state.fetch_and(!WOKEN, Ordering::AcqRel) & WOKEN != 0
    }

    /// Sends events to this target from now on. An event that is on its way stays: `change` takes it over from the old
    /// target, which it gets if there was one.
    pub fn aim(&self, target: impl FnOnce(Option<T>) -> T) {
        let mut events = self.lock();
        let (old, sent) = match events.aim.take() {
            Some(old) => (Some(old.target), old.sent),
            None => (None, false),
        };
        events.aim = Some(Aim {
            target: target(old),
            sent,
        });
    }

    /// Sends nothing more, and takes back an event that is on its way.
    pub fn disarm(&self) {
        let old = self.lock().aim.take();
        if let Some(Aim {
            mut target,
            sent: true,
        }) = old
        {
            target.cancel();
        }
    }

    /// The event has arrived, and the thread that it came to looks at everything. Wake-ups so far must not lead to another
    /// event: where nothing is left to be polled, nobody would ever take it.
    pub fn arrived(&self) {
        self.take();
        if let Some(aim) = &mut self.lock().aim {
            aim.sent = false;
        }
    }

    /// Sends the event, unless one is on its way or there is no target. `false`: not possible right now, and the caller has
    /// [`Wakeup::retry`] called until that returns true. No other caller gets this answer before then.
    #[must_use]
    pub fn send(&self) -> bool {
        let mut events = self.lock();
        let settled = events.try_send() || events.retrying;
        events.retrying |= !settled;
        settled
    }

    /// Sends the event that [`Wakeup::send`] could not send, unless that is not needed any more. `false`: still not possible;
    /// the caller tries again later.
    #[must_use]
    pub fn retry(&self) -> bool {
        let mut events = self.lock();
        let settled = events.try_send();
        events.retrying = !settled;
        settled
    }

    fn lock(&self) -> MutexGuard<'_, Events<T>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Target> Events<T> {
    /// Sends the event, unless one is on its way or there is no target. `false`: not possible right now.
    fn try_send(&mut self) -> bool {
        match &mut self.aim {
            Some(aim) if !aim.sent => {
                aim.sent = aim.target.send();
                aim.sent
            }
            _ => true,
        }
    }
}
