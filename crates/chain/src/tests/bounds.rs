//! How much of a body a filter may hold.

use super::*;

/// A filter that holds the body until it has seen the end.
fn collects() -> Play {
    Box::new(|_, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        Event::Body(_, true) => Answer::Body(BodyAction::Continue),
        Event::Body(_, false) => Answer::Body(BodyAction::StopAndBuffer),
        Event::Trailers(_) => Answer::Trailers(StreamAction::Continue),
    })
}

#[test]
fn the_limit_holds_however_the_body_is_cut() {
    let cuts: [(&[&str], &str); 6] = [
        (&["0123456789a"], "[head]!"),
        (&["0123456789", "a"], "[head]!"),
        (&["01234", "56789a"], "[head]!"),
        (&["0", "123456789a"], "[head]!"),
        (&["0123456789"], "[head]0123456789."),
        (&["01234", "56789"], "[head]0123456789."),
    ];
    for (cut, expected) in cuts {
        let mut rig = Rig::new(vec![collects()]);
        let last = cut.len() - 1;
        rig.feed([head()]);
        rig.feed(
            cut.iter()
                .enumerate()
                .map(|(index, piece)| data(piece, index == last)),
        );
        assert_eq!(rig.drain(), expected, "{cut:?}");
        let refused = matches!(&rig.state.borrow().reply, Reply::Pending(reply) if reply.status == 413);
        assert_eq!(refused, expected.ends_with('!'), "{cut:?}");
    }
}

#[test]
fn a_filter_that_lets_everything_go_is_not_bounded() {
    let lets_go: Play = Box::new(|_, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        Event::Body(..) => Answer::Body(BodyAction::Continue),
        Event::Trailers(_) => Answer::Trailers(StreamAction::Continue),
    });
    let mut rig = Rig::new(vec![lets_go]);
    rig.feed([head(), data("0123456789abcdefghijk", true)]);
    assert_eq!(rig.drain(), "[head]0123456789abcdefghijk.");
    let shown = |text: &str, end| (0, Event::Body(text.to_owned(), end));
    assert_eq!(
        rig.seen.borrow()[1..],
        [
            shown("0123456789", false),
            shown("abcdefghij", false),
            shown("k", true)
        ]
    );
}
