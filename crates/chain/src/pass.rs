//! The short way of a head: past filters that let it go at once, without a pump.

use std::iter;

use weir_host::HeadersAction;

use crate::messages::Messages;
use crate::pump::{Abort, FilterCalls, Pump, StagePlan};
use crate::source::Source;
use crate::stage::{Head, Hold, Stage};
use crate::state::{Direction, SharedState};

/// The outcome of showing a head to filters.
pub enum Passed<S, C, M> {
    /// The head has come through.
    Through {
        /// Nothing follows.
        end_of_stream: bool,
    },
    /// A filter holds it; the pump goes on from there, with this filter as its first.
    Held(Box<Pump<S, C, M>>),
}

impl<S: Source, C: FilterCalls, M: Messages> Pump<S, C, M> {
    /// Shows a head to filters that will see nothing else of the message: nothing follows it (`end_of_stream`), or none of
    /// them wants what follows. Only where one of them holds the head a pump is made, of `rest`, with a source that has given
    /// its head; it has to be polled at once, so that it is known who waits.
    ///
    /// # Errors
    ///
    /// As [`Pump::poll_item`].
    pub fn pass_head(
        direction: Direction,
        plans: impl IntoIterator<Item = StagePlan>,
        mut end_of_stream: bool,
        calls: &mut impl FilterCalls,
        state: &SharedState<M>,
        rest: impl FnOnce() -> (S, C),
    ) -> Result<Passed<S, C, M>, Abort> {
        let mut plans = plans.into_iter();
        if state.borrow().stopped(direction) {
            return Err(Abort::Stopped);
        }
        while let Some(plan) = plans.next() {
            let action = if plan.interest.headers {
                let count = {
                    let mut state = state.borrow_mut();
                    state.side(plan.filter, direction).refused = false;
                    state.messages.head_count(direction)
                };
                calls.on_headers(plan.filter, direction, count, end_of_stream)
            } else {
                Ok(HeadersAction::Continue)
            };
            let mut borrowed = state.borrow_mut();
            if action != Ok(HeadersAction::Continue) {
                let mut stage = Stage::new(plan);
                stage.head = Head::Here;
                stage.input_ended = end_of_stream;
                stage.heed(action, &mut borrowed, direction);
                if stage.hold != Hold::Nothing && !borrowed.stopped(direction) {
                    drop(borrowed);
                    let stages = iter::once(stage).chain(plans.map(Stage::new)).collect();
                    let (source, calls) = rest();
                    let pump = Self::with_stages(direction, stages, source, calls, state.clone());
                    return Ok(Passed::Held(Box::new(pump)));
                }
                end_of_stream = stage.input_ended;
            }
            if borrowed.stopped(direction) {
                return Err(Abort::Stopped);
            }
            borrowed.side(plan.filter, direction).head_passed = true;
        }
        Ok(Passed::Through { end_of_stream })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use weir_abi::{FailPolicy, StreamType};
    use weir_host::{BodyAction, Stream, StreamAction, VmGone};

    use super::*;
    use crate::testing::{self, Maps};
    use crate::{Interest, Item, LocalSource, StreamHandle};

    /// Filters that answer to the head, each what is said; what they were told of the end of the message.
    #[derive(Default)]
    struct Answers {
        actions: Vec<Result<HeadersAction, VmGone>>,
        ends: Vec<(usize, bool)>,
    }

    impl FilterCalls for Answers {
        fn on_headers(
            &mut self,
            filter: usize,
            _: Direction,
            _: usize,
            end: bool,
        ) -> Result<HeadersAction, VmGone> {
            self.ends.push((filter, end));
            self.actions[filter]
        }

        fn on_body(&mut self, _: usize, _: Direction, _: usize, _: bool) -> Result<BodyAction, VmGone> {
            unreachable!("nobody wants the body")
        }

        fn on_trailers(&mut self, _: usize, _: Direction, _: usize) -> Result<StreamAction, VmGone> {
            unreachable!("nobody wants trailers")
        }
    }

    type Outcome = Result<Passed<LocalSource, Answers, Maps>, Abort>;

    /// Sends the head of a request past filters, which fail closed.
    fn pass(calls: &mut Answers, state: &SharedState<Maps>) -> Outcome {
        let plan = |filter| StagePlan {
            filter,
            interest: Interest {
                headers: true,
                ..Interest::default()
            },
            fail_policy: FailPolicy::Closed,
            limit: 10,
        };
        let actions = calls.actions.clone();
        let rest = || {
            let calls = Answers {
                actions,
                ends: Vec::new(),
            };
            let mut source = LocalSource::new(Bytes::from_static(b"body"));
            assert!(
                source
                    .poll_item(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            );
            (source, calls)
        };
        let plans = (0..calls.actions.len()).map(plan);
        Pump::pass_head(Direction::Request, plans, false, calls, state, rest)
    }

    fn answers<const N: usize>(actions: [Result<HeadersAction, VmGone>; N]) -> (Answers, SharedState<Maps>) {
        let answers = Answers {
            actions: actions.into(),
            ends: Vec::new(),
        };
        (answers, testing::state(N))
    }

    #[test]
    fn messages_pass_where_no_filter_holds() {
        let (mut calls, state) = answers([
            Ok(HeadersAction::ContinueAndEndStream),
            Ok(HeadersAction::Continue),
        ]);
        let passed = pass(&mut calls, &state);
        assert!(matches!(passed, Ok(Passed::Through { end_of_stream: true })));
        assert_eq!(calls.ends, [(0, false), (1, true)]);
        let mut state = state.borrow_mut();
        assert!((0..2).all(|filter| state.side(filter, Direction::Request).head_passed));
    }

    #[test]
    fn held_messages_resume_behind_their_filter() {
        let (mut calls, state) = answers([
            Ok(HeadersAction::Continue),
            Ok(HeadersAction::StopAllAndWatermark),
            Ok(HeadersAction::Continue),
        ]);
        let Ok(Passed::Held(mut pump)) = pass(&mut calls, &state) else {
            panic!("the head is held");
        };
        assert_eq!(calls.ends.len(), 2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pump.poll_item(&mut cx).is_pending());
        assert!(!state.borrow_mut().side(1, Direction::Request).head_passed);
        StreamHandle::new(state.clone(), 1).resume(StreamType::HttpRequest);
        assert!(matches!(
            pump.poll_item(&mut cx),
            Poll::Ready(Ok(Item::Head { end_of_stream: false }))
        ));
        assert!(state.borrow_mut().side(2, Direction::Request).head_passed);
    }

    #[test]
    fn a_filter_that_dies_closes_the_way() {
        let (mut calls, state) = answers([Err(VmGone), Ok(HeadersAction::Continue)]);
        assert!(matches!(pass(&mut calls, &state), Err(Abort::Stopped)));
        assert_eq!(calls.ends.len(), 1);
        let reply = state.borrow_mut().take_reply().expect("a reply");
        assert_eq!(reply.status, 503);
        // Nobody is asked any more.
        assert!(matches!(pass(&mut calls, &state), Err(Abort::Stopped)));
        assert_eq!(calls.ends.len(), 1);
    }
}
