//! The mailbox of a VM.

use std::time::{Duration, Instant};

use weir_account::{Account, Calls, Ceiling, Charge};
use weir_host::{CallFailure, ContextId, HttpCall};

use crate::event::Event;
use crate::mailbox::Mailbox;

fn plugin(id: u32) -> ContextId {
    ContextId::new(id).expect("not 0")
}

/// Takes all events out, and returns their number.
fn opened(mailbox: &Mailbox) -> usize {
    std::iter::from_fn(|| mailbox.take_next()).count()
}

#[test]
fn the_supervisor_is_told_once_until_it_looks() {
    let mailbox = Mailbox::default();
    assert!(mailbox.ask(|asked| asked.set_tick(plugin(1), None)));
    assert!(!mailbox.put(Event::Housekeep));
    mailbox.look(Instant::now());
    assert!(mailbox.put(Event::Tick { plugin: plugin(1) }));
}

#[test]
fn later_periods_replace_earlier_ones() {
    let mailbox = Mailbox::default();
    for period in 0..10_000 {
        let period = Some(Duration::from_millis(period));
        let _ = mailbox.ask(|asked| asked.set_tick(plugin(1), period));
        let _ = mailbox.ask(|asked| asked.set_tick(plugin(2), None));
    }
    let asked = mailbox.look(Instant::now()).asked.ticks;
    let last = Some(Duration::from_millis(9_999));
    assert_eq!(asked, [(plugin(1), last), (plugin(2), None)]);
}

#[test]
fn events_that_say_nothing_new_are_left_out() {
    let mailbox = Mailbox::default();
    for _ in 0..100 {
        for queue in [1, 2] {
            let _ = mailbox.put(Event::QueueReady {
                plugin: plugin(1),
                queue,
            });
        }
        let _ = mailbox.put(Event::Tick { plugin: plugin(1) });
        let _ = mailbox.put(Event::Tick { plugin: plugin(2) });
        let _ = mailbox.put(Event::Housekeep);
    }
    assert!(!mailbox.look(Instant::now()).post, "the VM has not arrived");
    assert_eq!(opened(&mailbox), 5);
}

/// A call that begins, counted in `calls`.
fn begin(mailbox: &Mailbox, calls: &Calls, token: u32) {
    let account = Account::new(1000, &Ceiling::default());
    let ticket = calls.begin(&account, Charge::none());
    let _ = mailbox.ask(|asked| asked.calls.push((token, HttpCall::default(), ticket)));
}

#[test]
fn calls_that_are_given_up_leave_nothing_behind() {
    let (mailbox, calls) = (Mailbox::default(), Calls::default());
    begin(&mailbox, &calls, 1);
    begin(&mailbox, &calls, 2);
    assert!(!mailbox.cancel(1), "the call never began");
    assert_eq!(calls.in_flight(), 1);
    let mut asked = mailbox.look(Instant::now()).asked;
    let (token, _, ticket) = asked.calls.remove(0);
    assert_eq!((token, asked.calls.len(), asked.cancelled.len()), (2, 0, 0));
    assert!(mailbox.cancel(2));
    assert_eq!(mailbox.look(Instant::now()).asked.cancelled, [2]);

    let failure = CallFailure {
        status: weir_abi::Status::InternalFailure,
        reason: String::new(),
    };
    let _ = mailbox.put(Event::HttpCallResponse {
        token: 2,
        result: Err(failure),
        ticket,
    });
    assert!(!mailbox.cancel(2), "the call has ended");
    assert_eq!((calls.in_flight(), opened(&mailbox)), (0, 0));
}

#[test]
fn a_closed_mailbox_lets_go_of_calls() {
    let (mailbox, calls) = (Mailbox::default(), Calls::default());
    begin(&mailbox, &calls, 1);
    let _ = mailbox.close();
    begin(&mailbox, &calls, 2);
    assert!(!mailbox.cancel(2));
    assert_eq!(calls.in_flight(), 0);
}

#[test]
fn a_closed_mailbox_takes_nothing() {
    let mailbox = Mailbox::default();
    let _ = mailbox.put(Event::Housekeep);
    assert!(!mailbox.close(), "the supervisor has been told already");
    assert!(mailbox.look(Instant::now()).closed);
    assert!(!mailbox.put(Event::Housekeep));
    assert!(!mailbox.ask(|asked| asked.set_tick(plugin(1), None)));
    assert_eq!(opened(&mailbox), 0);
}

#[test]
fn events_that_are_put_off_stay_one_of_a_kind_and_come_first_again() {
    let mailbox = Mailbox::default();
    let tick = |id| Event::Tick { plugin: plugin(id) };
    let _ = mailbox.put(tick(1));
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let next = mailbox.take_next().expect("an event");
    assert!(!next.put_off_wait);
    // One that comes while the VM's thread has the event is not put off for a second time.
    let _ = mailbox.put(tick(1));
    mailbox.put_off(next.letter);
    for _ in 0..100 {
        let _ = mailbox.put(tick(1));
    }
    assert_eq!(opened(&mailbox), 0, "the event that was put off stands for them");
    let _ = mailbox.mail_is_over(Some(later));
    assert_eq!(mailbox.look(now).retry_at, Some(later));
    let _ = mailbox.put(tick(2));
    assert_eq!(mailbox.look(later).retry_at, None);
    for id in [1, 2] {
        let event = mailbox.take_next().expect("an event").letter.event;
        assert!(event.is_covered_by(&tick(id)), "{id}");
    }
}

#[test]
fn a_stream_that_begins_to_wait_brings_back_what_was_put_off() {
    let mailbox = Mailbox::default();
    assert!(!mailbox.stream_waits(), "nothing is there to come back");
    let (calls, now) = (Calls::default(), Instant::now());
    let account = Account::new(1000, &Ceiling::default());
    let failure = CallFailure {
        status: weir_abi::Status::InternalFailure,
        reason: String::new(),
    };
    let _ = mailbox.put(Event::HttpCallResponse {
        token: 1,
        result: Err(failure),
        ticket: calls.begin(&account, Charge::none()),
    });
    mailbox.put_off(mailbox.take_next().expect("an event").letter);
    let _ = mailbox.mail_is_over(Some(now + Duration::from_secs(60)));
    mailbox.look(now);
    assert_eq!((opened(&mailbox), calls.in_flight()), (0, 1));
    assert!(mailbox.stream_waits());
    assert_eq!(mailbox.look(now).retry_at, None);
    mailbox.put_off(mailbox.take_next().expect("an event").letter);
    assert!(!mailbox.cancel(1), "the call has ended");
    assert_eq!(calls.in_flight(), 0);
}
