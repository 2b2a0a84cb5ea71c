//! The stages of a chain, and the moves between them.
//!
//! Actions mean what they mean in Envoy (`filter_manager.cc`), because modules in the field were written against it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use atomic_refcell::AtomicRefMut;
use smallvec::SmallVec;
use weir_abi::FailPolicy;
use weir_account::Account;
use weir_host::{BodyAction, HeadersAction, LocalResponse, StreamAction, VmGone};

use crate::local_reply;
use crate::messages::Messages;
use crate::pieces::Pieces;
use crate::source::{Item, Source, SourceError};
use crate::stage::{Head, Hold, Stage, Trailers};
use crate::state::{Direction, Reply, SharedState, Side, StreamState};

/// Calls the filters of a chain. [`ChainCalls`](crate::ChainCalls) implements it for VMs, tests for themselves.
///
/// Each method returns what the guest's action means. `Err`: the filter's VM is dead, and the stream gets the fail policy.
pub trait FilterCalls {
    /// The head of a direction has come to a filter. `count`: field lines, pseudo-headers included. `end_of_stream`: no body
    /// and no trailers follow.
    fn on_headers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmGone>;

    /// Bytes of the body have come to a filter. `size`: bytes that the filter can read now. `end_of_stream`: nothing follows.
    fn on_body(
        &mut self,
        filter: usize,
        direction: Direction,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmGone>;

    /// The trailers have come to a filter. `count`: field lines.
    fn on_trailers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
    ) -> Result<StreamAction, VmGone>;

    /// Returns the account that pays for body bytes that the filter holds; `None` where nobody does.
    fn account(&self, filter: usize) -> Option<Arc<Account>> {
        let _ = filter;
        None
    }
}

/// The callbacks of a filter in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The headers callback; in the request direction it is also where the stream's context is made.
    pub headers: bool,
    /// The body callback.
    pub body: bool,
    /// The trailers callback.
    pub trailers: bool,
}

/// A filter, as a pump knows it.
#[derive(Clone, Copy, Debug)]
pub struct StagePlan {
    /// Index of the filter in the chain.
    pub filter: usize,
    /// The filter's callbacks in the pump's direction.
    pub interest: Interest,
    /// Fate of the stream when the filter's VM is dead.
    pub fail_policy: FailPolicy,
    /// Bytes of the body that the filter may hold back.
    pub limit: usize,
}

/// A message on its way through a chain, in one direction. Whoever sends the message on polls [`Pump::poll_item`]; the pump
/// polls its source no further than that takes, so that back-pressure reaches the sender.
pub struct Pump<S, C, M> {
    direction: Direction,
    stages: SmallVec<[Stage; 2]>,
    source: S,
    calls: C,
    state: SharedState<M>,
    /// No stage has anything to do any more.
    direct: bool,
    /// A piece that was pulled early.
    peeked: Option<Result<Item, Abort>>,
}

/// The length of a body, as far as it is known when the head goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is no body.
    None,
    /// So many bytes.
    Exact(u64),
    /// Only the end of the body will tell.
    Open,
}

/// A message that goes no further.
#[derive(Debug)]
pub enum Abort {
    /// A filter or the proxy answers by itself ([`StreamState::take_reply`]), or the stream is reset.
    Stopped,
    /// The sender broke off; the proxy calls [`StreamState::source_failed`].
    Source(SourceError),
}

impl<S: Source, C: FilterCalls, M: Messages> Pump<S, C, M> {
    /// Makes the pump of a message whose head lies in `state`. `plans`:
    /// [`Chain::request_plans`](crate::Chain::request_plans) or [`Chain::response_plans`](crate::Chain::response_plans), in
    /// the order in which the message passes the filters.
    pub fn new(
        direction: Direction,
        plans: impl IntoIterator<Item = StagePlan>,
        source: S,
        calls: C,
        state: SharedState<M>,
    ) -> Self {
        let stages = plans.into_iter().map(Stage::new).collect();
        Self::with_stages(direction, stages, source, calls, state)
    }

    pub(crate) fn with_stages(
        direction: Direction,
        stages: SmallVec<[Stage; 2]>,
        source: S,
        calls: C,
        state: SharedState<M>,
    ) -> Self {
        let direct = stages.is_empty();
        Self {
            direction,
            stages,
            source,
            calls,
            state,
            direct,
            peeked: None,
        }
    }

    /// Polls the next piece of the message: first the head, then body and trailers. Pending while a filter holds the message
    /// or the source has nothing; a resume, an answer and a reset wake the task. Called on the thread that may enter the VMs.
    ///
    /// # Errors
    ///
    /// The message goes no further; poll no more.
    pub fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, Abort>> {
        if let Some(item) = self.peeked.take() {
            return Poll::Ready(item);
        }
        {
            let mut state = self.state.borrow_mut();
            if state.stopped(self.direction) {
                return Poll::Ready(Err(Abort::Stopped));
            }
            state.register(self.direction, cx);
        }
        if self.direct {
            return self.source.poll_item(cx).map_err(Abort::Source);
        }
        let item = self.poll_stage(self.stages.len(), cx);
        if matches!(item, Poll::Ready(Ok(Item::Head { .. }))) {
            self.direct = self.stages.iter().all(Stage::is_transparent);
        }
        item
    }

    /// Returns true if a filter may change the body, or may have changed it.
    pub fn may_change_body(&self) -> bool {
        // One whose VM has died may have changed what it held, and one that has declined what it saw before.
        self.stages
            .iter()
            .any(|stage| stage.interest.body && (stage.body_shown || !stage.declined))
    }

    /// Pulls the next piece and keeps it for the next [`Pump::poll_item`]. `None` where the message was broken off.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<Option<&Item>> {
        if self.peeked.is_none() {
            self.peeked = Some(ready!(self.poll_item(cx)));
        }
        Poll::Ready(self.peeked.as_ref().and_then(|item| item.as_ref().ok()))
    }

    /// Finds the length of the body of a message whose head has come through with this `end_of_stream`. Ready without a
    /// piece of the body where no filter can change it, else as soon as the first piece has been let go.
    pub fn poll_length(&mut self, cx: &mut Context<'_>, end_of_stream: bool) -> Poll<Length> {
        if end_of_stream {
            return Poll::Ready(Length::None);
        }
        if !self.may_change_body() {
            return Poll::Ready(self.announced_length().map_or(Length::Open, Length::Exact));
        }
        Poll::Ready(match ready!(self.poll_peek(cx)) {
            Some(Item::Data(body, true)) => Length::Exact(body.len() as u64),
            _ => Length::Open,
        })
    }

    /// Length of the whole body as the sender announced it, whatever of it stages hold. Right only where no filter
    /// changes the body.
    pub fn announced_length(&self) -> Option<u64> {
        self.source.announced_length()
    }

    /// Returns the sender, for a message that goes no further.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Returns the stream's state.
    pub fn state(&self) -> &SharedState<M> {
        &self.state
    }

    /// Polls the item that the last of the first `upto` stages passes on.
    fn poll_stage(&mut self, upto: usize, cx: &mut Context<'_>) -> Poll<Result<Item, Abort>> {
        let Some(index) = upto.checked_sub(1) else {
            return self.source.poll_item(cx).map_err(Abort::Source);
        };
        loop {
            if let Err(abort) = self.settle(index) {
                return Poll::Ready(Err(abort));
            }
            if let Some(item) = self.release(index) {
                return Poll::Ready(Ok(item));
            }
            let stage = &mut self.stages[index];
            if stage.finished {
                return Poll::Ready(Ok(Item::End));
            }
            if stage.unseen_waits() {
                self.show_unseen(index);
                continue;
            }
            if stage.input_ended || !stage.may_pull(self.source.may_read_ahead()) {
                return Poll::Pending;
            }
            let holds = stage.hold != Hold::Nothing;
            let polled = self.poll_stage(index, cx);
            if holds && polled.is_pending() {
                self.side(index).waits_for_sender = true;
            }
            match ready!(polled)? {
                Item::Head { end_of_stream } => self.on_head(index, end_of_stream),
                Item::Data(pieces, end_of_stream) => {
                    let stage = &mut self.stages[index];
                    stage.input_ended |= end_of_stream;
                    if stage.hold == Hold::Nothing && !stage.calls_body() {
                        stage.finished |= end_of_stream;
                        return Poll::Ready(Ok(Item::Data(pieces, end_of_stream)));
                    }
                    self.on_data(index, pieces, end_of_stream);
                }
                Item::Trailers => self.on_trailers_come(index),
                Item::End => self.stages[index].input_ended = true,
            }
        }
    }

    /// Takes in what has happened to a stage since it was last looked at: a resume, the death of its VM.
    fn settle(&mut self, index: usize) -> Result<(), Abort> {
        let state = &mut *self.state.borrow_mut();
        if state.stopped(self.direction) {
            return Err(Abort::Stopped);
        }
        let stage = &mut self.stages[index];
        let dead = state.filters[stage.filter].dead;
        let side = state.side(stage.filter, self.direction);
        stage.declined |= side.declined;
        if std::mem::take(&mut side.resume) {
            stage.let_go(&mut side.body);
        }
        if dead && stage.hold != Hold::Nothing {
            stage.let_go(&mut side.body);
            bypass_or_fail(stage, state, self.direction);
            if state.stopped(self.direction) {
                return Err(Abort::Stopped);
            }
        }
        let side = state.side(stage.filter, self.direction);
        side.held = stage.hold != Hold::Nothing;
        side.waits_for_sender = false;
        Ok(())
    }

    /// A stage's part of the stream's state.
    fn side(&self, index: usize) -> AtomicRefMut<'_, Side> {
        let filter = self.stages[index].filter;
        AtomicRefMut::map(self.state.borrow_mut(), |state| {
            state.side(filter, self.direction)
        })
    }

    /// The next piece that a stage has let go.
    fn release(&mut self, index: usize) -> Option<Item> {
        let stage = &mut self.stages[index];
        let open = stage.hold == Hold::Nothing;
        if stage.head == Head::LetGo || (open && stage.head == Head::Here) {
            stage.head = Head::Passed;
            let end_of_stream = open && stage.ends_with_ready();
            stage.finished |= end_of_stream;
            self.state
                .borrow_mut()
                .side(stage.filter, self.direction)
                .head_passed = true;
            return Some(Item::Head { end_of_stream });
        }
        if !open || stage.finished || stage.head != Head::Passed {
            return None;
        }
        if !stage.ready.is_empty() {
            let pieces = std::mem::take(&mut stage.ready);
            stage.finished = stage.ends_with_ready();
            return Some(Item::Data(pieces, stage.finished));
        }
        if stage.ends_with_ready() {
            stage.finished = true;
            return Some(Item::Data(Pieces::default(), true));
        }
        if stage.trailers == Trailers::Seen && stage.unseen.is_empty() && !stage.unseen_end {
            stage.finished = true;
            self.state
                .borrow_mut()
                .side(stage.filter, self.direction)
                .trailers_passed = true;
            return Some(Item::Trailers);
        }
        None
    }

    /// Gives the filter what came while everything was stopped: the body as one piece, then the trailers.
    fn show_unseen(&mut self, index: usize) {
        let stage = &mut self.stages[index];
        if !stage.unseen.is_empty() || stage.unseen_end {
            let pieces = std::mem::take(&mut stage.unseen);
            let end_of_stream = std::mem::take(&mut stage.unseen_end);
            self.call_body(index, pieces, end_of_stream);
        } else {
            self.call_trailers(index);
        }
    }

    fn on_head(&mut self, index: usize, end_of_stream: bool) {
        let stage = &mut self.stages[index];
        stage.head = Head::Here;
        stage.input_ended = end_of_stream;
        if !stage.interest.headers || stage.bypassed {
            return;
        }
        let count = {
            let mut state = self.state.borrow_mut();
            state.side(stage.filter, self.direction).refused = false;
            state.messages.head_count(self.direction)
        };
        let action = self
            .calls
            .on_headers(stage.filter, self.direction, count, end_of_stream);
        stage.heed(action, &mut self.state.borrow_mut(), self.direction);
    }

    fn on_data(&mut self, index: usize, mut pieces: Pieces, end_of_stream: bool) {
        let stage = &mut self.stages[index];
        if stage.hold == Hold::All {
            stage.unseen.append(&mut pieces);
            stage.unseen_end = end_of_stream;
            let account = self.calls.account(stage.filter);
            let fits = account.is_none_or(|account| stage.unseen.charge_all(&account).is_ok());
            if !fits || (stage.unseen.len() > stage.limit && !stage.watermark) {
                self.too_large();
            }
        } else {
            self.show(index, pieces, end_of_stream);
        }
    }

    /// Gives the filter what has come of the body, no more at once than it may hold: a filter that holds the body until it is
    /// whole would else see, and pass, whatever comes in one piece.
    fn show(&mut self, index: usize, mut pieces: Pieces, end_of_stream: bool) {
        while self.stages[index].is_bounded() && pieces.len() > self.stages[index].limit.max(1) {
            let first = pieces.split_to(self.stages[index].limit.max(1));
            self.call_body(index, first, false);
            if self.state.borrow().stopped(self.direction) {
                return;
            }
        }
        self.call_body(index, pieces, end_of_stream);
    }

    fn call_body(&mut self, index: usize, mut pieces: Pieces, end_of_stream: bool) {
        let stage = &mut self.stages[index];
        if !stage.calls_body() {
            // As if the callback had said Continue, which also lets go of what earlier callbacks held.
            let mut state = self.state.borrow_mut();
            stage.let_go(&mut state.side(stage.filter, self.direction).body);
            stage.ready.append(&mut pieces);
            return;
        }
        if stage.hold == Hold::Passing && stage.is_bounded() {
            let mut state = self.state.borrow_mut();
            let side = state.side(stage.filter, self.direction);
            let held = stage.ready.len() + side.body.as_ref().map_or(0, |body| body.len());
            if held + pieces.len() > stage.limit {
                too_large(&mut state, self.direction);
                return;
            }
        }
        // Trailers that came while everything was stopped are still to be shown: the body does not end the message.
        let end_of_stream = end_of_stream && stage.trailers == Trailers::None;
        stage.body_shown = true;
        let size = {
            let mut state = self.state.borrow_mut();
            let has_trailers = state.messages.trailers_count(self.direction).is_some();
            let side = state.side(stage.filter, self.direction);
            let body = side.body.get_or_insert_default();
            body.append(&mut pieces);
            side.body_complete = end_of_stream;
            side.refused = false;
            side.may_add_trailers = end_of_stream && !has_trailers;
            body.len()
        };
        let action = self
            .calls
            .on_body(stage.filter, self.direction, size, end_of_stream);
        let state = &mut *self.state.borrow_mut();
        let made_trailers = end_of_stream && state.messages.trailers_count(self.direction).is_some();
        let side = state.side(stage.filter, self.direction);
        side.may_add_trailers = false;
        if made_trailers {
            stage.trailers = Trailers::Seen;
            side.trailers_here = true;
        }
        if std::mem::take(&mut side.resume) {
            // Asked for inside this callback, so it means what was held before it; the action decides on the rest.
            stage.hold = Hold::Nothing;
            if stage.head == Head::Here {
                stage.head = Head::LetGo;
            }
        }
        match action {
            Ok(_) if side.refused => stage.let_go(&mut side.body),
            Ok(BodyAction::Continue) => stage.let_go(&mut side.body),
            Ok(BodyAction::StopAndBuffer) => {
                stage.hold = Hold::Passing;
                stage.accumulate = true;
                stage.watermark = false;
            }
            Ok(BodyAction::StopAndWatermark) => {
                stage.let_go(&mut side.body);
                stage.hold = Hold::Passing;
                stage.watermark = true;
            }
            Ok(BodyAction::StopNoBuffer) => {
                // The accumulated bytes stay; the bytes of a lone call are the filter's, which may give others back.
                if !stage.accumulate
                    && let Some(body) = &mut side.body
                {
                    body.clear();
                }
                stage.hold = Hold::Passing;
            }
            Err(VmGone) => {
                stage.let_go(&mut side.body);
                bypass_or_fail(stage, state, self.direction);
                return;
            }
        }
        side.held = stage.hold != Hold::Nothing;
        let held = stage.ready.len() + side.body.as_ref().map_or(0, |body| body.len());
        if stage.hold == Hold::Nothing {
            return;
        }
        let account = if held > 0 {
            self.calls.account(stage.filter)
        } else {
            None
        };
        let fits = account.is_none_or(|account| {
            let body = side.body.as_mut();
            stage.ready.charge_all(&account).is_ok()
                && body.is_none_or(|body| body.charge_all(&account).is_ok())
        });
        if !fits || (held > stage.limit && !stage.watermark) {
            too_large(state, self.direction);
        }
    }

    fn on_trailers_come(&mut self, index: usize) {
        let stage = &mut self.stages[index];
        stage.input_ended = true;
        stage.trailers = Trailers::Unseen;
        if stage.hold != Hold::All {
            self.call_trailers(index);
        }
    }

    fn call_trailers(&mut self, index: usize) {
        let stage = &mut self.stages[index];
        stage.trailers = Trailers::Seen;
        let count = {
            let state = &mut *self.state.borrow_mut();
            let side = state.side(stage.filter, self.direction);
            side.trailers_here = true;
            side.refused = false;
            state.messages.trailers_count(self.direction).unwrap_or_default()
        };
        let action = if stage.interest.trailers && !stage.bypassed {
            self.calls.on_trailers(stage.filter, self.direction, count)
        } else {
            Ok(StreamAction::Continue)
        };
        let state = &mut *self.state.borrow_mut();
        let side = state.side(stage.filter, self.direction);
        side.resume = false;
        match action {
            Ok(StreamAction::Continue) => stage.let_go(&mut side.body),
            Ok(StreamAction::Stop) if side.refused => stage.let_go(&mut side.body),
            Ok(StreamAction::Stop) => stage.hold = Hold::Passing,
            Err(VmGone) => {
                stage.let_go(&mut side.body);
                bypass_or_fail(stage, state, self.direction);
            }
        }
    }

    fn too_large(&self) {
        too_large(&mut self.state.borrow_mut(), self.direction);
    }
}

impl Stage {
    /// Does what the headers callback has answered.
    pub(crate) fn heed<M: Messages>(
        &mut self,
        action: Result<HeadersAction, VmGone>,
        state: &mut StreamState<M>,
        direction: Direction,
    ) {
        match action {
            Ok(HeadersAction::Continue) => {}
            Ok(_) if state.side(self.filter, direction).refused => {}
            Ok(HeadersAction::StopIteration) => self.hold = Hold::Passing,
            Ok(HeadersAction::ContinueAndEndStream) => self.input_ended = true,
            Ok(HeadersAction::StopAllAndBuffer) => {
                self.hold = Hold::All;
                self.watermark = false;
            }
            Ok(HeadersAction::StopAllAndWatermark) => {
                self.hold = Hold::All;
                self.watermark = true;
            }
            Err(VmGone) => bypass_or_fail(self, state, direction),
        }
    }

    /// Lets go of all that the filter holds and has seen.
    fn let_go(&mut self, body: &mut Option<Box<Pieces>>) {
        if let Some(mut body) = body.take() {
            self.ready.append(&mut body);
        }
        self.accumulate = false;
        self.hold = Hold::Nothing;
    }
}

/// Gives a stream what the fail policy says about a filter whose VM is dead.
fn bypass_or_fail<M: Messages>(stage: &mut Stage, state: &mut StreamState<M>, direction: Direction) {
    // A reply that is on its way has been decided on, perhaps because this very filter failed.
    let replying =
        direction == Direction::Response && matches!(state.reply, Reply::Given) && !state.response_sent;
    if stage.fail_policy == FailPolicy::Open || replying {
        stage.bypassed = true;
    } else {
        state.reply_or_reset(local_reply::plain(503, "filter_failed", ""), "filter_failed");
    }
}

/// Ends a stream of whose body filters hold more than they may.
pub(crate) fn too_large<M: Messages>(state: &mut StreamState<M>, direction: Direction) {
    let (reply, reason): (LocalResponse, _) = match direction {
        Direction::Request => {
            let reason = "request_payload_too_large";
            (local_reply::phrase(413, reason), reason)
        }
        Direction::Response => {
            let reason = "response_payload_too_large";
            (local_reply::phrase(500, reason), reason)
        }
    };
    state.reply_or_reset(reply, reason);
}
