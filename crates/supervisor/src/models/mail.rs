//! The mailbox of a VM: what is put in against the supervisor's look, the mail's opening, and the end of the VM.

use std::sync::Arc as StdArc;
use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use weir_account::{Account, Calls, Ceiling, Charge};
use weir_host::{ContextId, HttpCall, LiveVm};

use super::mailbox::{Look, Mailbox};
use super::sync::Ordering;
use crate::event::Event;
use crate::tests::live_vm;

/// A mailbox, with the commands and the mail that it leads to.
#[derive(Default)]
struct Post {
    mailbox: Mailbox,
    /// Commands to look that the supervisor has not taken.
    looks: AtomicUsize,
    /// Mails that the VM's thread has not opened.
    mails: AtomicUsize,
    /// Things that have happened.
    happened: AtomicUsize,
    /// Things that had happened when the guest last heard of an event.
    heard: AtomicUsize,
}

fn plugin() -> ContextId {
    ContextId::new(1).expect("not 0")
}

impl Post {
    /// Takes the mailbox's word for whether the supervisor has to be told.
    fn note(&self, tell: bool) {
        if tell {
            assert_eq!(self.looks.fetch_add(1, Ordering::SeqCst), 0, "told twice");
        }
    }

    /// Something happens of which the guest hears by an event that says no more each time.
    fn happen(&self) {
        self.happened.fetch_add(1, Ordering::Relaxed);
        let event = Event::QueueReady {
            plugin: plugin(),
            queue: 1,
        };
        self.note(self.mailbox.put(event));
    }

    /// The guest sets its tick period.
    fn set_tick(&self, milliseconds: u64) {
        let period = Some(Duration::from_millis(milliseconds));
        self.note(self.mailbox.ask(|asked| asked.set_tick(plugin(), period)));
    }

    /// The guest begins an HTTP call.
    fn call(&self, calls: &Calls) {
        let ticket = calls.begin(&Account::new(1000, &Ceiling::default()), Charge::none());
        let call = |asked: &mut super::mailbox::Asked| asked.calls.push((1, HttpCall::default(), ticket));
        self.note(self.mailbox.ask(call));
    }

    /// The supervisor looks, if it has been told to.
    fn look(&self) -> Option<Look> {
        if self.looks.swap(0, Ordering::SeqCst) == 0 {
            return None;
        }
        let look = self.mailbox.look(Instant::now());
        if look.post {
            assert_eq!(self.mails.fetch_add(1, Ordering::SeqCst), 0, "posted twice");
        }
        Some(look)
    }

    /// The VM's thread opens its mail, if it has any.
    fn open(&self) {
        if self.mails.swap(0, Ordering::SeqCst) == 0 {
            return;
        }
        while self.mailbox.take_next().is_some() {
            let happened = self.happened.load(Ordering::Relaxed);
            self.heard.store(happened, Ordering::SeqCst);
        }
        self.note(self.mailbox.mail_is_over(None));
    }
}

/// Checks a model of a mailbox whose VM is this one.
fn model(check: impl Fn(Arc<Post>, &StdArc<LiveVm>) + Send + Sync + 'static) {
    let live = live_vm();
    loom::model(move || check(Arc::new(Post::default()), &live));
}

#[test]
fn an_event_against_the_opening_of_the_mail_is_in_it_or_in_the_next() {
    model(|post, live| {
        post.note(post.mailbox.arrive(live));
        post.happen();
        post.look();
        let other = Arc::clone(&post);
        let happens = thread::spawn(move || other.happen());
        post.open();
        happens.join().expect("no panic");
        post.look();
        post.open();
        assert_eq!(post.heard.load(Ordering::SeqCst), 2, "lost");
        assert!(post.look().is_none() && post.mailbox.take_next().is_none());
    });
}

#[test]
fn an_event_against_a_look_is_posted_by_it_or_by_the_next() {
    model(|post, live| {
        post.note(post.mailbox.arrive(live));
        let other = Arc::clone(&post);
        let happens = thread::spawn(move || {
            other.happen();
            other.happen();
        });
        post.look();
        post.open();
        happens.join().expect("no panic");
        post.look();
        post.open();
        assert_eq!(post.heard.load(Ordering::SeqCst), 2, "lost");
    });
}

#[test]
fn an_event_against_the_arrival_of_its_vm_is_posted() {
    model(|post, live| {
        let other = Arc::clone(&post);
        let happens = thread::spawn(move || {
            other.happen();
            other.look();
        });
        post.note(post.mailbox.arrive(live));
        happens.join().expect("no panic");
        post.look();
        post.open();
        assert_eq!(post.heard.load(Ordering::SeqCst), 1, "lost");
    });
}

#[test]
fn the_last_of_many_periods_is_what_the_supervisor_sees_last() {
    model(|post, _| {
        let other = Arc::clone(&post);
        let guest = thread::spawn(move || {
            other.set_tick(1);
            other.set_tick(2);
        });
        let mut periods: Vec<_> = post.look().map_or(Vec::new(), |look| look.asked.ticks);
        guest.join().expect("no panic");
        periods.extend(post.look().map_or(Vec::new(), |look| look.asked.ticks));
        let last = periods.last().and_then(|(_, period)| *period);
        assert_eq!(last, Some(Duration::from_millis(2)));
        assert!(periods.len() <= 2);
    });
}

#[test]
fn a_call_that_is_given_up_never_begins_or_is_cancelled() {
    model(|post, _| {
        let calls = Calls::default();
        post.call(&calls);
        let other = Arc::clone(&post);
        let guest = thread::spawn(move || other.note(other.mailbox.cancel(1)));
        let first = post.look().expect("the supervisor has been told").asked;
        guest.join().expect("no panic");
        let later = post.look().map_or(Vec::new(), |look| look.asked.cancelled);
        let cancelled = [first.cancelled, later].concat();
        assert_eq!(cancelled.len(), first.calls.len());
        assert_eq!(calls.in_flight(), first.calls.len());
    });
}

#[test]
fn a_mailbox_that_is_closed_meanwhile_keeps_nothing() {
    model(|post, live| {
        let calls = Calls::default();
        post.note(post.mailbox.arrive(live));
        let (other, counted) = (Arc::clone(&post), calls.clone());
        let guest = thread::spawn(move || {
            other.call(&counted);
            other.happen();
        });
        post.note(post.mailbox.close());
        guest.join().expect("no panic");
        assert_eq!(calls.in_flight(), 0);
        let look = post.look().expect("the supervisor has been told");
        assert!(look.closed && !look.post);
        assert!(look.asked.calls.is_empty() && post.mailbox.take_next().is_none());
        assert!(
            post.look().is_none(),
            "nothing is told of a mailbox that is closed"
        );
    });
}

#[test]
fn a_supervisor_that_looks_while_a_mailbox_closes_learns_of_it() {
    model(|post, live| {
        post.note(post.mailbox.arrive(live));
        post.happen();
        let other = Arc::clone(&post);
        let ends = thread::spawn(move || other.note(other.mailbox.close()));
        let first = post.look().expect("the supervisor has been told");
        post.open();
        ends.join().expect("no panic");
        let closed = first.closed || post.look().is_some_and(|look| look.closed);
        assert!(closed);
        assert!(post.mailbox.take_next().is_none());
    });
}

#[test]
fn an_event_that_was_put_off_comes_back_for_a_stream_that_begins_to_wait() {
    model(|post, live| {
        post.note(post.mailbox.arrive(live));
        post.happen();
        assert!(post.look().is_some_and(|look| look.post));
        post.mails.store(0, Ordering::SeqCst);
        let next = post.mailbox.take_next().expect("an event");
        post.mailbox.put_off(next.letter);
        let later = Instant::now() + Duration::from_secs(3600);
        post.note(post.mailbox.mail_is_over(Some(later)));
        let other = Arc::clone(&post);
        let looks = thread::spawn(move || {
            other.look();
        });
        post.note(post.mailbox.stream_waits());
        looks.join().expect("no panic");
        post.look();
        post.open();
        assert_eq!(post.heard.load(Ordering::SeqCst), 1, "lost");
    });
}
