//! The response on its way through filters that want to see its body: a transform between server and client.

use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_VCONN_WRITE_COMPLETE, TS_EVENT_VCONN_WRITE_READY, TSCont, TSContDataGet,
    TSContDestroy, TSContScheduleOnThread, TSEvent, TSEventThreadSelf, TSTransformOutputVConnGet, TSVConn,
    TSVConnClosedGet, TSVConnShutdown, TSVIONBytesGet,
};
use weir_chain::{Abort, Direction, Item, Length, Pieces, local_reply};

use super::messages::{Framing, Response};
use super::output::Output;
use super::reply::FinalReply;
use super::source::{BodyInput, TxnSource};
use super::well_known::names;
use super::{Flow, Next, Txn, TxnPtr, TxnPump, facts, input_of};

/// A transform between server and client.
pub(super) struct ResponseTransform {
    transform: TSVConn,
    input: Rc<BodyInput>,
    stage: Stage,
    output: Option<Output>,
    /// The input has been told that all of it has been taken.
    input_told: bool,
    /// The client has more to take than should wait for it.
    client_is_slow: bool,
}

/// Bytes that may wait for a client before no more are made.
const BACKLOG: i64 = 1 << 20;

/// How long to wait, in milliseconds, before it is looked again what a slow client has taken.
const NEXT_LOOK: i64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No event has come yet.
    New,
    /// The head is with the filters.
    Head,
    /// The head has come through; how long the body will be is being found out.
    Length { end_of_stream: bool },
    /// The head has gone out.
    Body,
    /// Everything has gone out; what still comes in goes nowhere.
    Done,
    /// Broken off.
    Broken,
}

impl ResponseTransform {
    pub fn new(transform: TSVConn) -> Self {
        Self {
            transform,
            input: Rc::default(),
            stage: Stage::New,
            output: None,
            input_told: false,
            client_is_slow: false,
        }
    }

    /// Whether the body is with the filters.
    pub fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::New | Stage::Done)
    }

    /// The transform itself.
    pub const fn transform(&self) -> TSVConn {
        self.transform
    }
}

/// Handles the events of a response's transform.
pub(super) unsafe extern "C" fn on_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    crate::guard::event(|| {
        let transform = TSVConn::from(cont);
        // SAFETY: the data is the state that `install_response_transform` put there, which the transform holds until here.
        // The transform's mutex is the transaction's.
        unsafe {
            let txn = TxnPtr::new(TSContDataGet(cont).cast());
            if TSVConnClosedGet(transform) != 0 {
                let was_run = input_of(transform).is_some_and(|vio| TSVIONBytesGet(vio) != 0);
                TSContDestroy(cont);
                if let Some(txn) = txn {
                    txn.work(|txn| txn.on_response_closed(was_run));
                    txn.release();
                }
                return;
            }
            let Some(txn) = txn else {
                return;
            };
            match event {
                TS_EVENT_ERROR => txn.work(|_| match input_of(transform) {
                    Some(vio) => Next::Input(vio, TS_EVENT_ERROR),
                    None => Next::Nothing,
                }),
                TS_EVENT_VCONN_WRITE_COMPLETE => TSVConnShutdown(TSTransformOutputVConnGet(transform), 0, 1),
                _ => txn.work(Txn::drive_response_body),
            }
        }
    })
}

impl Txn {
    /// The transform is no more. Where the origin has broken off before the server had begun to take our output, it would
    /// wait for that until its own timeouts end the transaction: the client gets an error instead.
    fn on_response_closed(&mut self, was_run: bool) -> Next {
        let Some(part) = self.response_transform.take() else {
            return Next::Nothing;
        };
        part.input.detach();
        self.held.response = false;
        self.mind_filters();
        let broken = match part.stage {
            // The transform may have been closed before we heard of it; or it was not meant to be run for this response.
            Stage::New => was_run && !self.sending,
            Stage::Broken => part.output.is_none(),
            Stage::Head | Stage::Length { .. } | Stage::Body | Stage::Done => !self.sending,
        };
        if !broken || self.closed || self.parked {
            return Next::Nothing;
        }
        self.response = None;
        {
            let mut state = self.state.borrow_mut();
            state.source_failed(Direction::Response);
            state.messages.facts.details = "upstream_reset_before_response_started".into();
        }
        self.reply = Some(Box::new(FinalReply::plain(502)));
        self.give_reply();
        Next::flow(self.http, Flow::Error)
    }

    /// Moves the response on.
    pub(super) fn drive_response_body(&mut self) -> Next {
        let Some(part) = &self.response_transform else {
            return Next::Nothing;
        };
        let (transform, body) = (part.transform, Rc::clone(&part.input));
        if !super::is_open(transform) {
            return Next::Nothing;
        }
        let Some(input) = input_of(transform) else {
            return Next::Nothing;
        };
        if self.closed {
            return Next::Nothing;
        }
        if part.stage == Stage::New {
            self.begin_response(transform);
        }
        body.take_asked();
        self.look_at_client();
        self.pump_response();
        let asked = body.take_asked();
        let Some(part) = &mut self.response_transform else {
            return Next::Nothing;
        };
        if part.stage == Stage::Broken {
            return Next::Input(input, TS_EVENT_ERROR);
        }
        if part.stage == Stage::Done {
            body.drain();
        }
        let waits_for_filter =
            !(part.stage == Stage::Done || asked || part.output.as_ref().is_some_and(Output::is_full));
        let told = if body.has_ended() {
            (!std::mem::replace(&mut part.input_told, true)).then_some(TS_EVENT_VCONN_WRITE_COMPLETE)
        } else {
            (asked || part.stage == Stage::Done).then_some(TS_EVENT_VCONN_WRITE_READY)
        };
        let output = part.output.as_mut().and_then(Output::flush);
        self.held.response = waits_for_filter;
        self.mind_filters();
        Next::Output {
            output,
            input: told.map(|event| (input, event)),
        }
    }

    /// Looks whether the client takes what it is sent. The server takes everything from a transform at once and keeps what
    /// its client has not taken, without a bound and without a word; so the transform looks by itself, and again after a
    /// while.
    fn look_at_client(&mut self) {
        let Some(part) = &mut self.response_transform else {
            return;
        };
        if part.stage != Stage::Body {
            return;
        }
        part.client_is_slow = super::client::backlog(self.http) > BACKLOG;
        if part.client_is_slow {
            // SAFETY: the transform is open, and the thread that runs is one of the server's.
            unsafe { TSContScheduleOnThread(part.transform.into(), NEXT_LOOK, TSEventThreadSelf()) };
        }
    }

    /// The first event of the transform: the head is there, and can be changed until the output is opened.
    fn begin_response(&mut self, transform: TSVConn) {
        let Some(part) = &mut self.response_transform else {
            return;
        };
        part.stage = Stage::Head;
        part.input.attach(transform, false);
        let input = Rc::clone(&part.input);
        // SAFETY: the transform has not been closed; its write side is there.
        let announced = input_of(transform).map(|vio| unsafe { TSVIONBytesGet(vio) });
        let length = announced
            .filter(|bytes| *bytes != i64::MAX)
            .and_then(|bytes| u64::try_from(bytes).ok());
        self.response_seen = true;
        {
            let mut state = self.state.borrow_mut();
            state.messages.response = Response::Transform(Framing {
                length,
                removed: false,
            });
            if state.messages.facts.details.is_empty() {
                state.messages.facts.details = "via_upstream".into();
            }
        }
        let plans: smallvec::SmallVec<[_; 2]> = self.chain.response_plans().collect();
        self.response = Some(Box::new(TxnPump::new(
            Direction::Response,
            plans,
            TxnSource::Server {
                head: Some(length == Some(0)),
                input,
            },
            self.calls(),
            self.state.clone(),
        )));
    }

    fn pump_response(&mut self) {
        let abort = self.poll(|txn, cx| {
            loop {
                let part = txn.response_transform.as_ref()?;
                let stage = part.stage;
                if part.client_is_slow || part.output.as_ref().is_some_and(Output::is_full) {
                    return None;
                }
                match stage {
                    Stage::New | Stage::Done | Stage::Broken => return None,
                    Stage::Head => match txn.response.as_mut()?.poll_item(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Err(abort)) => return Some(abort),
                        Poll::Ready(Ok(Item::Head { end_of_stream })) => {
                            txn.set_stage(Stage::Length { end_of_stream });
                        }
                        Poll::Ready(Ok(_)) => txn.set_stage(Stage::Length { end_of_stream: true }),
                    },
                    Stage::Length { end_of_stream } => {
                        let patient = txn.is_patient();
                        let length = match txn.response.as_mut()?.poll_length(cx, end_of_stream) {
                            Poll::Ready(length) => length,
                            Poll::Pending if patient => return None,
                            Poll::Pending => Length::Open,
                        };
                        txn.check_end();
                        if txn.state.borrow().stopped(Direction::Response) {
                            return Some(Abort::Stopped);
                        }
                        txn.open_response(length);
                    }
                    Stage::Body => match txn.response.as_mut()?.poll_item(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Err(abort)) => return Some(abort),
                        Poll::Ready(Ok(Item::Data(pieces, end))) => {
                            txn.check_end();
                            if txn.state.borrow().stopped(Direction::Response) {
                                return Some(Abort::Stopped);
                            }
                            txn.response_passed(pieces, end);
                        }
                        Poll::Ready(Ok(Item::Head { .. })) => {}
                        Poll::Ready(Ok(Item::Trailers | Item::End)) => {
                            txn.response_passed(Pieces::default(), true);
                        }
                    },
                }
            }
        });
        if abort.is_some() {
            self.replace_response();
        }
    }

    /// The server ends the input of a chunked response in the same way whether the origin has sent its end or has broken
    /// off; but it knows. Half a response must not pass for a whole one.
    fn check_end(&mut self) {
        let ended = self
            .response_transform
            .as_ref()
            .is_some_and(|part| part.input.has_ended());
        let flag = if ended { facts::abort_flag(self.http) } else { 0 };
        if flag != 0 {
            let reply = local_reply::phrase(502, "upstream_reset");
            let mut state = self.state.borrow_mut();
            state.messages.facts.flags |= flag;
            state.reply_or_reset(reply, "upstream_reset_after_response_started");
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(part) = &mut self.response_transform {
            part.stage = stage;
        }
    }

    /// The head goes out, with what is known of the body's length.
    fn open_response(&mut self, length: Length) {
        self.state.borrow_mut().response_sent = true;
        let Some(part) = &mut self.response_transform else {
            return;
        };
        let length = match length {
            Length::None => Some(0),
            Length::Exact(length) => Some(length),
            Length::Open => None,
        };
        part.output = Some(Output::open(part.transform, length));
        part.stage = Stage::Body;
        if length == Some(0) {
            self.response_passed(Pieces::default(), true);
        }
    }

    /// A part of the body has come through the filters.
    fn response_passed(&mut self, mut pieces: Pieces, end: bool) {
        let Some(part) = &mut self.response_transform else {
            return;
        };
        let Some(output) = &mut part.output else {
            return;
        };
        output.write(&mut pieces);
        if end {
            output.end();
            part.stage = if output.is_complete() {
                Stage::Done
            } else {
                Stage::Broken
            };
            self.response = None;
        }
    }

    /// The response goes no further: an answer takes its place while its head has not gone out; later it is broken off.
    fn replace_response(&mut self) {
        self.response = None;
        let reply = self.state.borrow_mut().take_reply();
        let opened = self
            .response_transform
            .as_ref()
            .is_some_and(|part| part.output.is_some());
        let (Some(reply), false) = (reply, opened) else {
            let mut state = self.state.borrow_mut();
            let reason = *state.reset.get_or_insert("reset");
            state.messages.facts.details = reason.into();
            drop(state);
            super::client::shut_down(self.http, opened);
            self.set_stage(Stage::Broken);
            return;
        };
        let head = self.state.borrow().messages.server_response();
        self.replace_reply(reply);
        let Some(reply) = self.reply.take() else {
            return;
        };
        if let Some(head) = head {
            reply.write(head);
            head.remove_known(names().content_length);
        }
        self.state.borrow_mut().response_sent = true;
        if let Some(part) = &mut self.response_transform {
            let mut output = Output::open(part.transform, Some(reply.body.len() as u64));
            output.write(&mut Pieces::from(Bytes::from(reply.body)));
            part.output = Some(output);
            part.stage = Stage::Done;
        }
    }

    /// Whether the head of a response may wait for its body. Not where somebody listens for events that come when they
    /// come.
    fn is_patient(&self) -> bool {
        let state = self.state.borrow();
        let listens = state.messages.server_response().and_then(|head| {
            head.with_value(names().content_type, |value| {
                value.starts_with(b"text/event-stream") || value.starts_with(b"application/grpc")
            })
        });
        !listens.unwrap_or(false)
    }
}
