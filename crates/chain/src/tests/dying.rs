//! Filters whose VM dies.

use super::*;

#[test]
fn a_dead_vm_lets_the_stream_go_or_fails_it() {
    for (fail_policy, expected) in [(FailPolicy::Open, "[head]abc."), (FailPolicy::Closed, "!")] {
        let dies: Play = Box::new(|_, _| Answer::Dead);
        let mut rig = Rig::with(vec![dies], |_| (ALL, fail_policy));
        rig.feed([head(), data("abc", true)]);
        assert_eq!(rig.drain(), expected);
        let failed = matches!(&rig.state.borrow().reply, Reply::Pending(reply) if reply.status == 503);
        assert_eq!(failed, fail_policy == FailPolicy::Closed);
        assert_eq!(rig.seen().len(), 1);
    }
}

#[test]
fn a_held_stream_of_a_vm_that_dies_gets_the_fail_policy_at_once() {
    for (fail_policy, expected) in [(FailPolicy::Open, "[head]abc."), (FailPolicy::Closed, "!")] {
        let holds = answers(HeadersAction::StopAllAndWatermark, &[]);
        let mut rig = Rig::with(vec![holds], |_| (ALL, fail_policy));
        rig.feed([head(), data("abc", true)]);
        assert_eq!(rig.drain(), "…");
        StreamHandle::new(rig.state.clone(), 0).vm_died();
        assert_eq!(rig.drain(), expected);
    }
}

#[test]
fn a_filter_that_dies_with_a_buffered_body_gives_it_back() {
    let mut calls = 0;
    let dies: Play = Box::new(move |_, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        _ => {
            calls += 1;
            if calls == 1 {
                Answer::Body(BodyAction::StopAndBuffer)
            } else {
                Answer::Dead
            }
        }
    });
    let mut rig = Rig::new(vec![dies]);
    rig.feed([head(), data("ab", false), data("cd", true)]);
    assert_eq!(rig.drain(), "[head]abcd.");
}
