//! The mailbox of a VM: what its guest asks for, and what happens to it.
//!
//! A mailbox is bounded without refusing anything: a tick period replaces the earlier one of its plugin context, an event
//! that says nothing new is left out, and results are as many as the calls and answers that the host lets a guest await.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use weir_host::{CallTicket, ContextId, HttpCall, LiveVm};

use super::sync::{Mutex, MutexGuard};
use crate::event::Event;

/// The mailbox of a VM.
#[derive(Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
}

#[derive(Default)]
struct Letters {
    /// The supervisor has been told to look, and has not looked yet.
    noted: bool,
    /// The VM's thread has been given the mail, and has not opened it yet.
    posted: bool,
    /// The VM is no more, or is dead: nothing is taken any more.
    closed: bool,
    /// Closed by the end of the VM in good order: calls that wait begin all the same.
    finished: bool,
    /// Unset while the VM is being started. Its events wait until then.
    live: Option<Weak<LiveVm>>,
    asked: Asked,
    events: VecDeque<Letter>,
    /// Events that the VM's thread has put off. They wait until `retry_at`, or until a stream begins to wait.
    put_off: VecDeque<Letter>,
    retry_at: Option<Instant>,
    /// A stream has begun to wait, maybe for an event that was put off.
    stream_waits: bool,
}

/// An event on its way.
pub(crate) struct Letter {
    pub event: Event,
    /// Has been counted as put off.
    pub is_counted: bool,
}

/// The event that comes next.
pub(crate) struct Next {
    pub letter: Letter,
    pub live: Weak<LiveVm>,
    /// Events before this one have been put off.
    pub put_off_wait: bool,
}

/// What the guest has asked for since the supervisor last looked.
#[derive(Default)]
pub(crate) struct Asked {
    /// The latest tick period of each plugin context; `None` ends its ticks.
    pub ticks: Vec<(ContextId, Option<Duration>)>,
    /// HTTP calls to begin, by their tokens.
    pub calls: Vec<(u32, HttpCall, CallTicket)>,
    /// HTTP calls that have begun and are to be given up.
    pub cancelled: Vec<u32>,
    /// Waiting for `proxy_done`.
    pub done: Option<DoneWait>,
}

/// A wait for `proxy_done`.
pub(crate) enum DoneWait {
    /// Begins, or begins anew.
    Begin(Arc<LiveVm>),
    /// Is over.
    Over,
}

/// What the supervisor finds in a mailbox.
pub(crate) struct Look {
    /// What the guest has asked for.
    pub asked: Asked,
    /// The VM has arrived at its slot.
    pub live: Option<Weak<LiveVm>>,
    /// The VM is no more, or is dead.
    pub closed: bool,
    /// The VM has ended in good order: the calls that it has asked for begin, and those under way go on.
    pub finished: bool,
    /// Events wait, and the VM's thread is to be given the mail.
    pub post: bool,
    /// When to look again for the sake of events that were put off.
    pub retry_at: Option<Instant>,
}

impl Asked {
    /// Notes a tick period, in place of an earlier one.
    pub fn set_tick(&mut self, plugin: ContextId, period: Option<Duration>) {
        match self.ticks.iter_mut().find(|(known, _)| *known == plugin) {
            Some((_, known)) => *known = period,
            None => self.ticks.push((plugin, period)),
        }
    }
}

impl Mailbox {
    /// Asks the supervisor for something. `true`: the supervisor has to be told to look. A closed mailbox takes nothing.
    #[must_use]
    pub fn ask(&self, ask: impl FnOnce(&mut Asked)) -> bool {
        let mut letters = self.lock();
        if letters.closed {
            return false;
        }
        ask(&mut letters.asked);
        letters.note()
    }

    /// Gives an HTTP call up: one that has not begun never does, and a result that waits is dropped. `true`: the supervisor
    /// has to be told to look.
    #[must_use]
    pub fn cancel(&self, token: u32) -> bool {
        let mut letters = self.lock();
        let Letters {
            asked,
            events,
            put_off,
            ..
        } = &mut *letters;
        let begun = asked.calls.len();
        let waiting: Vec<_> = asked.calls.extract_if(.., |(call, ..)| *call == token).collect();
        let is_result = |letter: &Letter| matches!(letter.event, Event::HttpCallResponse { token: of, .. } if of == token);
        let ended = [events, put_off].into_iter().find_map(|letters| {
            let index = letters.iter().position(is_result)?;
            letters.remove(index)
        });
        let cancel = asked.calls.len() == begun && ended.is_none() && !letters.closed;
        if cancel {
            letters.asked.cancelled.push(token);
        }
        let note = cancel && letters.note();
        // What was held is dropped while nothing is locked.
        drop(letters);
        drop((waiting, ended));
        note
    }

    /// Puts an event in. `true`: the supervisor has to be told to look.
    #[must_use]
    pub fn put(&self, event: Event) -> bool {
        let mut letters = self.lock();
        if letters.closed || letters.know(&event) {
            return false;
        }
        letters.events.push_back(Letter {
            event,
            is_counted: false,
        });
        letters.note()
    }

    /// Keeps an event for later, in place of those that have come meanwhile and say no more. Called by the VM's thread alone,
    /// before its mail is over.
    pub fn put_off(&self, letter: Letter) {
        let mut letters = self.lock();
        if letters.closed {
            drop(letters);
            // What was held is dropped while nothing is locked.
            drop(letter);
            return;
        }
        let says_no_more = |other: &Letter| other.event.is_covered_by(&letter.event);
        letters.events.retain(|other| !says_no_more(other));
        if !letters.put_off.iter().any(says_no_more) {
            letters.put_off.push_back(letter);
        }
    }

    /// A stream has begun to wait for the VM. `true`: the supervisor has to be told to look.
    #[must_use]
    pub fn stream_waits(&self) -> bool {
        let mut letters = self.lock();
        if letters.put_off.is_empty() {
            return false;
        }
        letters.stream_waits = true;
        letters.note()
    }

    /// The VM has arrived, and takes events from now on. `true`: the supervisor has to be told to look.
    #[must_use]
    pub fn arrive(&self, live: &Arc<LiveVm>) -> bool {
        let mut letters = self.lock();
        letters.live = Some(Arc::downgrade(live));
        letters.note()
    }

    /// Takes nothing more, and drops all that is there. `true`: the supervisor has to be told to look.
    #[must_use]
    pub fn close(&self) -> bool {
        let mut letters = self.lock();
        letters.closed = true;
        letters.finished = false;
        let gone = (
            std::mem::take(&mut letters.asked),
            std::mem::take(&mut letters.events),
            std::mem::take(&mut letters.put_off),
        );
        let note = letters.note();
        // The last owner of a VM may be among it, whose end looks for this mailbox again.
        drop(letters);
        drop(gone);
        note
    }

    /// As [`Mailbox::close`], for a VM that has ended in good order: what it has asked to be called is still called.
    #[must_use]
    pub fn finish(&self) -> bool {
        let mut letters = self.lock();
        if letters.closed {
            return false;
        }
        letters.closed = true;
        letters.finished = true;
        let gone = (
            letters.asked.done.take(),
            std::mem::take(&mut letters.events),
            std::mem::take(&mut letters.put_off),
        );
        let note = letters.note();
        drop(letters);
        drop(gone);
        note
    }

    /// Looks: what there is for the supervisor to do at `now`. Called by the supervisor alone.
    pub fn look(&self, now: Instant) -> Look {
        let mut letters = self.lock();
        letters.noted = false;
        letters.take_up(now);
        let post = letters.live.is_some() && !letters.posted && !letters.events.is_empty();
        letters.posted |= post;
        Look {
            asked: std::mem::take(&mut letters.asked),
            live: letters.live.clone(),
            closed: letters.closed,
            finished: letters.finished,
            post,
            retry_at: letters.retry_at,
        }
    }

    /// Returns the VM, where it has arrived and is not gone.
    pub fn live(&self) -> Option<Arc<LiveVm>> {
        self.lock().live.as_ref()?.upgrade()
    }

    /// Takes the next event out. Called by the VM's thread alone, which has the mail.
    pub fn take_next(&self) -> Option<Next> {
        let mut letters = self.lock();
        Some(Next {
            letter: letters.events.pop_front()?,
            live: letters.live.clone().unwrap_or_default(),
            put_off_wait: !letters.put_off.is_empty(),
        })
    }

    /// The VM's thread is done with the mail. `until`: when events that it has put off are to come again. `true`: the supervisor
    /// has to be told to look.
    #[must_use]
    pub fn mail_is_over(&self, until: Option<Instant>) -> bool {
        let mut letters = self.lock();
        letters.posted = false;
        if letters.put_off.is_empty() {
            letters.retry_at = None;
        } else if until.is_some() {
            letters.retry_at = until;
        }
        let anything = !letters.events.is_empty() || !letters.put_off.is_empty();
        anything && letters.note()
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letters {
    fn note(&mut self) -> bool {
        !std::mem::replace(&mut self.noted, true)
    }

    /// Returns true if an event that waits says all that this one says.
    fn know(&self, event: &Event) -> bool {
        let mut known = self.events.iter().chain(&self.put_off);
        known.any(|known| event.is_covered_by(&known.event))
    }

    /// Has events that were put off delivered before all others, if it is time.
    fn take_up(&mut self, now: Instant) {
        let due = self.stream_waits || self.retry_at.is_none_or(|at| at <= now);
        if self.posted || self.put_off.is_empty() || !due {
            return;
        }
        self.stream_waits = false;
        self.retry_at = None;
        self.put_off.append(&mut self.events);
        std::mem::swap(&mut self.put_off, &mut self.events);
    }
}
