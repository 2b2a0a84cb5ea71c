//! The mailbox of a VM.

use std::time::Duration;

use weir_account::{Account, Calls, Ceiling, Charge};
use weir_host::{CallFailure, ContextId, HttpCall};

use crate::event::Event;
use crate::mailbox::Mailbox;

fn plugin(id: u32) -> ContextId {
    ContextId::new(id).expect("not 0")
}

#[test]
fn the_supervisor_is_told_once_until_it_looks() {
    let mailbox = Mailbox::default();
    assert!(mailbox.ask(|asked| asked.set_tick(plugin(1), None)));
    assert!(!mailbox.put(Event::Housekeep));
    mailbox.look();
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
    let asked = mailbox.look().asked.ticks;
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
    assert!(!mailbox.look().post, "the VM has not arrived");
    assert_eq!(mailbox.open().1.len(), 5);
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
    let mut asked = mailbox.look().asked;
    let (token, _, ticket) = asked.calls.remove(0);
    assert_eq!((token, asked.calls.len(), asked.cancelled.len()), (2, 0, 0));
    assert!(mailbox.cancel(2));
    assert_eq!(mailbox.look().asked.cancelled, [2]);

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
    assert_eq!((calls.in_flight(), mailbox.open().1.len()), (0, 0));
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
    assert!(mailbox.look().closed);
    assert!(!mailbox.put(Event::Housekeep));
    assert!(!mailbox.ask(|asked| asked.set_tick(plugin(1), None)));
    assert!(mailbox.open().1.is_empty());
}
