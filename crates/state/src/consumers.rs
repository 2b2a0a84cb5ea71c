//! The consumers of a queue: whose turn it is, and how often each is still to be called.

use crate::{Consumer, Subscription};

/// The consumers of one queue.
#[derive(Default)]
pub(crate) struct Consumers {
    list: Vec<Waiting>,
    /// Consumer that is woken next.
    turn: usize,
}

struct Waiting {
    subscription: Subscription,
    /// A note lies with the waker and has not been acted upon. There is never a second one: a guest that fills its own
    /// queue must not fill the proxy's memory with notes.
    noted: bool,
    /// Entries that it is still to be called for. Guests may take one entry a call.
    owed: usize,
}

/// A wake-up that is to be given once no lock is held, because a waker may take locks of its own.
#[must_use]
pub(crate) struct Note(Subscription);

impl Consumers {
    /// Adds a consumer, to be called for so many entries. One that is known stays as it is.
    pub fn add(&mut self, subscription: Subscription, entries: usize) -> Option<Note> {
        if self.find(subscription.consumer).is_some() {
            return None;
        }
        let mut waiting = Waiting {
            subscription,
            noted: false,
            owed: entries,
        };
        let note = waiting.note();
        self.list.push(waiting);
        note
    }

    /// The next consumer is to be called for so many entries.
    pub fn owe(&mut self, entries: usize) -> Option<Note> {
        let turn = self.turn % self.list.len().max(1);
        let next = self.list.get_mut(turn)?;
        next.owed += entries;
        self.turn = self.turn.wrapping_add(1);
        next.note()
    }

    /// The note of a consumer is being acted upon. False if the consumer is unknown.
    pub fn begin_call(&mut self, consumer: Consumer) -> bool {
        let Some(waiting) = self.find(consumer) else {
            return false;
        };
        waiting.noted = false;
        waiting.owed = waiting.owed.saturating_sub(1);
        true
    }

    /// A consumer has been called while `entries` wait; it is noted again if it is to be called for more.
    pub fn end_call(&mut self, consumer: Consumer, entries: usize) -> Option<Note> {
        let waiting = self.find(consumer)?;
        waiting.owed = waiting.owed.min(entries);
        waiting.note()
    }

    /// Removes the consumers of a VM. What they were owed of the `entries` that wait falls to the next.
    pub fn remove(&mut self, vm: u64, entries: usize) -> Option<Note> {
        let before = self.list.len();
        self.list.retain(|waiting| waiting.subscription.consumer.vm != vm);
        if self.list.len() < before {
            self.owe(entries)
        } else {
            None
        }
    }

    fn find(&mut self, consumer: Consumer) -> Option<&mut Waiting> {
        self.list
            .iter_mut()
            .find(|waiting| waiting.subscription.consumer == consumer)
    }
}

impl Waiting {
    fn note(&mut self) -> Option<Note> {
        if self.owed == 0 || self.noted {
            return None;
        }
        self.noted = true;
        Some(Note(self.subscription.clone()))
    }
}

impl Note {
    /// Wakes the consumer.
    pub fn give(self) {
        let Subscription {
            consumer,
            queue,
            waker,
        } = self.0;
        waker.wake(consumer.plugin, queue);
    }
}
