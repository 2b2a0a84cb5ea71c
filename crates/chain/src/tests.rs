//! The moves of the pump, with filters that are played by the test.

mod bounds;
mod declining;
mod dying;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use weir_abi::{BufferType, FailPolicy, MapType, StreamType};
use weir_host::{BodyAction, HeaderEdit, HeadersAction, LocalResponse, Stream, StreamAction, VmGone};

use crate::testing::{self, Maps};
use crate::{
    Abort, Direction, FilterCalls, Interest, Item, Length, Pump, Reply, SharedState, Source, SourceError,
    StagePlan,
};

type StreamHandle = crate::StreamHandle<Maps>;

/// A filter's conduct in a callback: its answer, and its changes to the stream before that.
type Play = Box<dyn FnMut(&mut StreamHandle, Event) -> Answer>;

/// A call of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Headers(bool),
    Body(String, bool),
    Trailers(usize),
}

enum Answer {
    Headers(HeadersAction),
    Body(BodyAction),
    Trailers(StreamAction),
    Dead,
}

struct Players {
    state: SharedState<Maps>,
    plays: Vec<Play>,
    seen: Rc<RefCell<Vec<(usize, Event)>>>,
}

impl Players {
    fn play(&mut self, filter: usize, event: Event) -> Answer {
        self.seen.borrow_mut().push((filter, event.clone()));
        let mut handle = StreamHandle::new(self.state.clone(), filter);
        (self.plays[filter])(&mut handle, event)
    }
}

impl FilterCalls for Players {
    fn on_headers(
        &mut self,
        filter: usize,
        _: Direction,
        _: usize,
        end: bool,
    ) -> Result<HeadersAction, VmGone> {
        match self.play(filter, Event::Headers(end)) {
            Answer::Headers(action) => Ok(action),
            _ => Err(VmGone),
        }
    }

    fn on_body(&mut self, filter: usize, _: Direction, size: usize, end: bool) -> Result<BodyAction, VmGone> {
        let mut body = vec![0; size];
        StreamHandle::new(self.state.clone(), filter).read_buffer(BufferType::HttpRequestBody, 0, &mut body);
        match self.play(filter, Event::Body(String::from_utf8(body).unwrap(), end)) {
            Answer::Body(action) => Ok(action),
            _ => Err(VmGone),
        }
    }

    fn on_trailers(&mut self, filter: usize, _: Direction, count: usize) -> Result<StreamAction, VmGone> {
        match self.play(filter, Event::Trailers(count)) {
            Answer::Trailers(action) => Ok(action),
            _ => Err(VmGone),
        }
    }
}

/// A message whose pieces come when the test says so.
#[derive(Default)]
struct Fed(Rc<RefCell<VecDeque<Item>>>);

impl Source for Fed {
    fn poll_item(&mut self, _: &mut Context<'_>) -> Poll<Result<Item, SourceError>> {
        self.0
            .borrow_mut()
            .pop_front()
            .map_or(Poll::Pending, |item| Poll::Ready(Ok(item)))
    }

    fn announced_length(&self) -> Option<u64> {
        None
    }
}

struct Rig {
    pump: Pump<Fed, Players, Maps>,
    state: SharedState<Maps>,
    input: Rc<RefCell<VecDeque<Item>>>,
    seen: Rc<RefCell<Vec<(usize, Event)>>>,
}

const ALL: Interest = Interest {
    headers: true,
    body: true,
    trailers: true,
};

impl Rig {
    fn new(plays: Vec<Play>) -> Self {
        Self::with(plays, |_| (ALL, FailPolicy::Open))
    }

    fn with(plays: Vec<Play>, plan: impl Fn(usize) -> (Interest, FailPolicy)) -> Self {
        let state = testing::state(plays.len());
        let input = Rc::new(RefCell::new(VecDeque::new()));
        let seen = Rc::new(RefCell::new(Vec::new()));
        let plans: Vec<StagePlan> = (0..plays.len())
            .map(|filter| {
                let (interest, fail_policy) = plan(filter);
                StagePlan {
                    filter,
                    interest,
                    fail_policy,
                    limit: 10,
                }
            })
            .collect();
        let players = Players {
            state: state.clone(),
            plays,
            seen: seen.clone(),
        };
        let pump = Pump::new(
            Direction::Request,
            plans,
            Fed(input.clone()),
            players,
            state.clone(),
        );
        Self {
            pump,
            state,
            input,
            seen,
        }
    }

    fn feed(&self, items: impl IntoIterator<Item = Item>) {
        self.input.borrow_mut().extend(items);
    }

    fn feed_trailers(&self) {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-t", HeaderValue::from_static("1"));
        self.state.borrow_mut().messages.request_trailers = Some(trailers);
        self.feed([Item::Trailers]);
    }

    fn poll(&mut self) -> Poll<Result<Item, Abort>> {
        self.pump.poll_item(&mut Context::from_waker(Waker::noop()))
    }

    /// The items that come out until nothing more does.
    fn drain(&mut self) -> String {
        let mut out = String::new();
        loop {
            match self.poll() {
                Poll::Pending => return out + "…",
                Poll::Ready(Err(_)) => return out + "!",
                Poll::Ready(Ok(Item::End)) => return out,
                Poll::Ready(Ok(Item::Head { end_of_stream })) => {
                    out += if end_of_stream { "[head.]" } else { "[head]" };
                    if end_of_stream {
                        return out;
                    }
                }
                Poll::Ready(Ok(Item::Data(pieces, end))) => {
                    let mut bytes = vec![0; pieces.len()];
                    pieces.read(0, &mut bytes);
                    out += &format!(
                        "{}{}",
                        String::from_utf8_lossy(&bytes),
                        if end { "." } else { "," }
                    );
                    if end {
                        return out;
                    }
                }
                Poll::Ready(Ok(Item::Trailers)) => return out + "[trailers]",
            }
        }
    }

    fn resume(&self, filter: usize) {
        StreamHandle::new(self.state.clone(), filter).resume(StreamType::HttpRequest);
    }

    fn seen(&self) -> Vec<(usize, Event)> {
        self.seen.take()
    }
}

fn head() -> Item {
    Item::Head { end_of_stream: false }
}

fn data(text: &'static str, end: bool) -> Item {
    Item::Data(Bytes::from_static(text.as_bytes()).into(), end)
}

/// A filter with these answers to headers, and to each body call in turn; trailers go on.
fn answers(headers: HeadersAction, body: &'static [BodyAction]) -> Play {
    let mut body = body.iter();
    Box::new(move |_, event| match event {
        Event::Headers(_) => Answer::Headers(headers),
        Event::Body(..) => Answer::Body(*body.next().unwrap_or(&BodyAction::Continue)),
        Event::Trailers(_) => Answer::Trailers(StreamAction::Continue),
    })
}

fn reply(status: u16) -> LocalResponse {
    crate::local_reply::plain(status, "test", "")
}

#[test]
fn everything_goes_on_through_filters_that_let_it() {
    let mut rig = Rig::new(vec![
        answers(HeadersAction::Continue, &[]),
        answers(HeadersAction::Continue, &[]),
    ]);
    rig.feed([head(), data("ab", false), data("c", true)]);
    assert_eq!(rig.drain(), "[head]ab,c.");
    assert_eq!(
        rig.seen(),
        [
            (0, Event::Headers(false)),
            (1, Event::Headers(false)),
            (0, Event::Body("ab".into(), false)),
            (1, Event::Body("ab".into(), false)),
            (0, Event::Body("c".into(), true)),
            (1, Event::Body("c".into(), true)),
        ]
    );
}

#[test]
fn a_message_without_body_ends_with_its_head() {
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, &[])]);
    rig.feed([Item::Head { end_of_stream: true }]);
    assert_eq!(rig.drain(), "[head.]");
    assert_eq!(rig.seen(), [(0, Event::Headers(true))]);
}

#[test]
fn a_body_that_came_while_the_head_was_held_is_one_call() {
    let mut rig = Rig::new(vec![answers(HeadersAction::StopAllAndWatermark, &[])]);
    rig.feed([head(), data("ab", false), data("cd", false), data("", true)]);
    assert_eq!(rig.drain(), "…");
    assert_eq!(rig.seen(), [(0, Event::Headers(false))]);
    rig.resume(0);
    assert_eq!(rig.drain(), "[head]abcd.");
    assert_eq!(rig.seen(), [(0, Event::Body("abcd".into(), true))]);
}

#[test]
fn at_the_watermark_the_sender_is_held_back() {
    let mut rig = Rig::new(vec![answers(HeadersAction::StopAllAndWatermark, &[])]);
    rig.feed([head(), data("0123456789", false), data("more", true)]);
    assert_eq!(rig.drain(), "…");
    assert_eq!(rig.input.borrow().len(), 1);
    rig.resume(0);
    assert_eq!(rig.drain(), "[head]0123456789,more.");
}

#[test]
fn a_body_that_has_to_be_buffered_has_a_bound() {
    for headers in [HeadersAction::StopAllAndBuffer, HeadersAction::Continue] {
        let body = &[BodyAction::StopAndBuffer, BodyAction::StopAndBuffer];
        let mut rig = Rig::new(vec![answers(headers, body)]);
        rig.feed([head(), data("0123456789", false), data("!", false)]);
        assert!(rig.drain().ends_with('!'));
        assert!(matches!(&rig.state.borrow().reply, Reply::Pending(reply) if reply.status == 413));
    }
}

#[test]
fn stop_iteration_holds_the_head_until_a_body_call_continues() {
    let body = &[BodyAction::StopAndBuffer, BodyAction::Continue];
    let mut rig = Rig::new(vec![answers(HeadersAction::StopIteration, body)]);
    rig.feed([head(), data("ab", false)]);
    assert_eq!(rig.drain(), "…");
    rig.feed([data("cd", true)]);
    assert_eq!(rig.drain(), "[head]abcd.");
    assert_eq!(
        rig.seen(),
        [
            (0, Event::Headers(false)),
            (0, Event::Body("ab".into(), false)),
            (0, Event::Body("abcd".into(), true)),
        ]
    );
}

#[test]
fn stop_iteration_of_a_bodiless_message_waits_for_a_resume() {
    let mut rig = Rig::new(vec![answers(HeadersAction::StopIteration, &[])]);
    rig.feed([Item::Head { end_of_stream: true }]);
    assert_eq!(rig.drain(), "…");
    rig.resume(0);
    assert_eq!(rig.drain(), "[head.]");
}

#[test]
fn after_continue_a_filter_sees_only_what_is_new() {
    let body = &[
        BodyAction::StopAndBuffer,
        BodyAction::Continue,
        BodyAction::Continue,
    ];
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, body)]);
    rig.feed([head(), data("a", false), data("b", false), data("c", true)]);
    assert_eq!(rig.drain(), "[head]ab,c.");
    let seen = rig.seen();
    assert_eq!(
        seen[2..],
        [
            (0, Event::Body("ab".into(), false)),
            (0, Event::Body("c".into(), true))
        ]
    );
}

#[test]
fn a_buffered_body_goes_on_when_the_filter_resumes() {
    let mut rig = Rig::new(vec![answers(
        HeadersAction::Continue,
        &[BodyAction::StopAndBuffer],
    )]);
    rig.feed([head(), data("ab", true)]);
    assert_eq!(rig.drain(), "[head]…");
    // As from the result of a call: the body is still there to be changed.
    let mut handle = StreamHandle::new(rig.state.clone(), 0);
    handle.splice_buffer(BufferType::HttpRequestBody, 0, 1, b"X");
    rig.resume(0);
    assert_eq!(rig.drain(), "Xb.");
    assert!(handle.buffer(BufferType::HttpRequestBody).is_none());
}

#[test]
fn stop_without_buffer_leaves_the_bytes_to_the_filter() {
    let body = &[BodyAction::StopNoBuffer, BodyAction::Continue];
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, body)]);
    rig.feed([head(), data("gone", false), data("kept", true)]);
    assert_eq!(rig.drain(), "[head]kept.");
    assert_eq!(rig.seen()[2], (0, Event::Body("kept".into(), true)));
}

#[test]
fn stop_with_watermark_keeps_the_bytes_and_shows_each_once() {
    let body = &[
        BodyAction::StopAndWatermark,
        BodyAction::StopAndWatermark,
        BodyAction::Continue,
    ];
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, body)]);
    rig.feed([
        head(),
        data("01234567", false),
        data("89A", false),
        data("B", true),
    ]);
    assert_eq!(rig.drain(), "[head]…");
    assert_eq!(rig.input.borrow().len(), 1, "over the limit nothing is read");
    rig.resume(0);
    assert_eq!(rig.drain(), "0123456789A,B.");
    let seen = rig.seen();
    assert_eq!(
        seen[1..3],
        [
            (0, Event::Body("01234567".into(), false)),
            (0, Event::Body("89A".into(), false))
        ]
    );
}

#[test]
fn a_body_can_be_replaced_by_nothing() {
    let play: Play = Box::new(|handle, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        Event::Body(_, end) => {
            handle.splice_buffer(BufferType::HttpRequestBody, 0, usize::MAX, b"");
            Answer::Body(if end {
                BodyAction::Continue
            } else {
                BodyAction::StopAndBuffer
            })
        }
        Event::Trailers(_) => Answer::Trailers(StreamAction::Continue),
    });
    let mut rig = Rig::new(vec![play, answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("ab", false), data("c", true)]);
    assert_eq!(rig.drain(), "[head].");
    assert_eq!(rig.seen().last(), Some(&(1, Event::Body(String::new(), true))));
}

#[test]
fn continue_and_end_stream_cuts_the_body_off() {
    let end = answers(HeadersAction::ContinueAndEndStream, &[]);
    let mut rig = Rig::new(vec![end, answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("never", true)]);
    assert_eq!(rig.drain(), "[head.]");
    assert_eq!(
        rig.seen(),
        [(0, Event::Headers(false)), (1, Event::Headers(true))]
    );
}

#[test]
fn trailers_come_to_every_filter_and_can_be_held() {
    let holds: Play = Box::new(|_, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        Event::Body(..) => Answer::Body(BodyAction::Continue),
        Event::Trailers(_) => Answer::Trailers(StreamAction::Stop),
    });
    let mut rig = Rig::new(vec![holds, answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("a", false)]);
    rig.feed_trailers();
    assert_eq!(rig.drain(), "[head]a,…");
    rig.resume(0);
    assert_eq!(rig.drain(), "[trailers]");
    let trailers: Vec<_> = rig
        .seen()
        .into_iter()
        .filter(|(_, event)| *event == Event::Trailers(1))
        .collect();
    assert_eq!(trailers, [(0, Event::Trailers(1)), (1, Event::Trailers(1))]);
}

#[test]
fn trailers_that_go_on_let_a_held_body_go() {
    let mut rig = Rig::new(vec![answers(
        HeadersAction::Continue,
        &[BodyAction::StopAndBuffer],
    )]);
    rig.feed([head(), data("ab", false)]);
    assert_eq!(rig.drain(), "[head]…");
    rig.feed_trailers();
    assert_eq!(rig.drain(), "ab,[trailers]");
}

#[test]
fn a_filter_adds_trailers_with_the_last_bytes() {
    let adds: Play = Box::new(|handle, event| match event {
        Event::Headers(_) => Answer::Headers(HeadersAction::Continue),
        Event::Body(_, end) => {
            if end {
                handle.edit_headers(MapType::HttpRequestTrailers, HeaderEdit::Add(b"x-hash", b"1"));
            }
            Answer::Body(BodyAction::Continue)
        }
        Event::Trailers(_) => Answer::Trailers(StreamAction::Continue),
    });
    let mut rig = Rig::new(vec![adds, answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("a", true)]);
    assert_eq!(rig.drain(), "[head]a,[trailers]");
    assert_eq!(
        rig.seen()[2..],
        [
            (0, Event::Body("a".into(), true)),
            (1, Event::Body("a".into(), false)),
            (1, Event::Trailers(1)),
        ]
    );
}

#[test]
fn a_local_response_stops_everything_after_it() {
    let replies: Play = Box::new(|handle, _| {
        handle.send_local_response(reply(403));
        Answer::Headers(HeadersAction::Continue)
    });
    let mut rig = Rig::new(vec![replies, answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("a", true)]);
    assert_eq!(rig.drain(), "!");
    assert_eq!(rig.seen(), [(0, Event::Headers(false))]);
}

#[test]
fn a_local_response_from_elsewhere_ends_a_hold() {
    let mut rig = Rig::new(vec![answers(HeadersAction::StopAllAndWatermark, &[])]);
    rig.feed([head()]);
    assert_eq!(rig.drain(), "…");
    StreamHandle::new(rig.state.clone(), 0).send_local_response(reply(401));
    assert_eq!(rig.drain(), "!");
}

#[test]
fn filters_without_body_callbacks_are_passed_by() {
    let headers_only = Interest {
        headers: true,
        body: false,
        trailers: false,
    };
    let mut rig = Rig::with(vec![answers(HeadersAction::Continue, &[])], |_| {
        (headers_only, FailPolicy::Open)
    });
    rig.feed([head(), data("ab", false)]);
    assert_eq!(rig.drain(), "[head]ab,…");
    rig.feed_trailers();
    assert_eq!(rig.drain(), "[trailers]");
    assert_eq!(rig.seen(), [(0, Event::Headers(false))]);
}

#[test]
fn a_filter_that_holds_its_head_holds_the_body_of_those_after_it() {
    let mut rig = Rig::new(vec![
        answers(HeadersAction::Continue, &[]),
        answers(HeadersAction::StopAllAndWatermark, &[]),
    ]);
    rig.feed([head(), data("ab", true)]);
    assert_eq!(rig.drain(), "…");
    // The first filter need not wait for the second: it sees the body, which waits between the two.
    assert_eq!(rig.seen().last(), Some(&(0, Event::Body("ab".into(), true))));
    rig.resume(1);
    assert_eq!(rig.drain(), "[head]ab.");
    assert_eq!(rig.seen(), [(1, Event::Body("ab".into(), true))]);
}

#[test]
fn the_length_of_a_body_is_said_only_where_it_is_known() {
    let length = |rig: &mut Rig| {
        assert!(matches!(
            rig.poll(),
            Poll::Ready(Ok(Item::Head { end_of_stream: false }))
        ));
        rig.pump
            .poll_length(&mut Context::from_waker(Waker::noop()), false)
    };
    // A filter that collects the whole body, all of which is there.
    let mut rig = Rig::new(vec![answers(
        HeadersAction::Continue,
        &[BodyAction::StopAndBuffer],
    )]);
    rig.feed([head(), data("ab", false), data("cd", true)]);
    assert_eq!(length(&mut rig), Poll::Ready(Length::Exact(4)));
    assert_eq!(rig.drain(), "abcd.");
    // One that lets a first part go.
    let mut rig = Rig::new(vec![answers(HeadersAction::Continue, &[])]);
    rig.feed([head(), data("ab", false), data("cd", true)]);
    assert_eq!(length(&mut rig), Poll::Ready(Length::Open));
    assert_eq!(rig.drain(), "ab,cd.");
    // One that goes on collecting.
    let mut rig = Rig::new(vec![answers(
        HeadersAction::Continue,
        &[BodyAction::StopAndBuffer],
    )]);
    rig.feed([head(), data("ab", false)]);
    assert_eq!(length(&mut rig), Poll::Pending);
}

#[test]
fn a_sender_that_breaks_off_resets_the_stream() {
    let state = testing::state(0);
    state.borrow_mut().source_failed(Direction::Response);
    let state = state.borrow();
    assert_eq!(state.reset, Some("upstream_reset_after_response_started"));
    assert_eq!(state.messages.failed, [Direction::Response]);
}
