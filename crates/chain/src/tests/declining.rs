//! Filters that want to see no more of a body.

use super::*;

/// A filter that declines the body at its `at`th call (the headers are the first), with these answers.
fn declines(at: usize, headers: HeadersAction, body: &'static [BodyAction]) -> Play {
    let mut play = answers(headers, body);
    let mut calls = 0;
    Box::new(move |handle, event| {
        calls += 1;
        if calls == at {
            handle.decline_body(StreamType::HttpRequest);
        }
        play(handle, event)
    })
}

#[test]
fn a_filter_that_declines_in_its_headers_sees_no_body() {
    let mut rig = Rig::new(vec![declines(1, HeadersAction::Continue, &[])]);
    rig.feed([head(), data("ab", false)]);
    assert_eq!(rig.drain(), "[head]ab,…");
    assert!(!rig.pump.may_change_body());
    rig.feed_trailers();
    assert_eq!(rig.drain(), "[trailers]");
    assert_eq!(rig.seen(), [(0, Event::Headers(false)), (0, Event::Trailers(1))]);
}

#[test]
fn a_filter_that_declines_later_may_have_changed_the_body() {
    let mut rig = Rig::new(vec![declines(2, HeadersAction::StopIteration, &[])]);
    rig.feed([head(), data("ab", false), data("cd", true)]);
    assert!(matches!(rig.poll(), Poll::Ready(Ok(Item::Head { .. }))));
    assert!(rig.pump.may_change_body());
    assert_eq!(rig.drain(), "ab,cd.");
    assert_eq!(
        rig.seen(),
        [(0, Event::Headers(false)), (0, Event::Body("ab".into(), false))]
    );
}

#[test]
fn held_bytes_go_on_with_the_first_declined_piece() {
    let body = &[BodyAction::StopAndBuffer];
    let mut rig = Rig::new(vec![declines(2, HeadersAction::StopIteration, body)]);
    rig.feed([head(), data("ab", false)]);
    assert_eq!(rig.drain(), "…");
    rig.feed([data("cd", true)]);
    assert_eq!(rig.drain(), "[head]abcd.");
    assert_eq!(rig.seen().len(), 2);
}

#[test]
fn bytes_that_came_while_stopped_are_not_shown_once_declined() {
    let mut rig = Rig::new(vec![declines(1, HeadersAction::StopAllAndWatermark, &[])]);
    rig.feed([head(), data("ab", false), data("", true)]);
    assert_eq!(rig.drain(), "…");
    rig.resume(0);
    assert_eq!(rig.drain(), "[head]ab.");
    assert_eq!(rig.seen(), [(0, Event::Headers(false))]);
}

#[test]
fn declining_one_direction_leaves_the_other() {
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, &[])]);
    StreamHandle::new(rig.state.clone(), 0).decline_body(StreamType::HttpResponse);
    rig.feed([head(), data("ab", true)]);
    assert_eq!(rig.drain(), "[head]ab.");
    assert_eq!(rig.seen().len(), 2);
}
