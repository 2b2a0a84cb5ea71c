//! The response on its way through filters that want to see its body: the events of its transform.

use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::task::Poll;

use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_VCONN_WRITE_COMPLETE, TS_EVENT_VCONN_WRITE_READY, TSCont, TSContDataGet,
    TSContDestroy, TSContScheduleOnThread, TSEvent, TSEventThreadSelf, TSTransformOutputVConnGet, TSVConn,
    TSVConnClosedGet, TSVConnShutdown, TSVIONBytesGet,
};
use weir_chain::{Abort, Direction, Item, Length, Pieces, StagePlan, local_reply};
use weir_http_rules::content_type::head_may_wait;
use weir_http_rules::status::is_bodiless;

use super::super::messages::{Framing, Response};
use super::super::output::Output;
use super::super::reply::FinalReply;
use super::super::source::{BodyInput, TxnSource};
use super::super::well_known::names;
use super::super::{Next, Txn, TxnPtr, TxnPump, client, facts, input_of, is_open};
use super::SentTransform;
use super::transform::{Part, ResponseTransform, Stage};

/// Bytes that may wait for a client before no more are made.
const BACKLOG: i64 = 1 << 20;

/// Milliseconds until the plugin looks again at what a slow client has taken.
const NEXT_LOOK: i64 = 2;

/// Handles the events of a response's transform.
///
/// # Safety
///
/// `cont` is a transform that `install_response_transform` made and that nobody has destroyed, with its mutex held by this
/// thread. Only the server calls this.
pub(in crate::txn) unsafe extern "C" fn on_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
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
        let Some(transform) = self.response.take_transform() else {
            return Next::Nothing;
        };
        if let SentTransform::Running(part) = &transform {
            part.detach();
        }
        self.mind_filters();
        let sending = self.response.is_sending();
        let broken = match &transform {
            // The transform may have been closed before we heard of it; or it was not meant to be run for this response.
            SentTransform::None | SentTransform::Added(_) => was_run && !sending,
            SentTransform::Running(part) => match &part.stage {
                Stage::Broken(output) => output.is_none(),
                Stage::Filtering { .. } | Stage::Done(_) => !sending,
            },
        };
        // The filters let go of the response before they hear of its end.
        drop(transform);
        if !broken || self.is_closed() || self.is_parked() {
            return Next::Nothing;
        }
        {
            let mut state = self.state.borrow_mut();
            state.source_failed(Direction::Response);
        }
        let reply = local_reply::phrase(502, "upstream_reset_before_response_started");
        let flow = self.answer_with(reply);
        Next::flow(self.http, flow)
    }

    /// Moves the response on.
    pub(in crate::txn) fn drive_response_body(&mut self) -> Next {
        let running = self.response.transform().map(|part| part.transform);
        let Some(transform) = running.or_else(|| self.response.added()) else {
            return Next::Nothing;
        };
        if !is_open(transform) {
            return Next::Nothing;
        }
        let Some(input) = input_of(transform) else {
            return Next::Nothing;
        };
        if self.is_closed() {
            return Next::Nothing;
        }
        if running.is_none() {
            self.begin_response(transform);
        }
        let Some(part) = self.response.transform() else {
            return Next::Nothing;
        };
        let body = Rc::clone(&part.input);
        body.take_asked();
        self.look_at_client();
        self.pump_response();
        let asked = body.take_asked();
        let Some(part) = self.response.transform_mut() else {
            return Next::Nothing;
        };
        if part.is_broken() {
            return Next::Input(input, TS_EVENT_ERROR);
        }
        let done = part.is_done();
        if done {
            body.drain();
        }
        part.polled(asked);
        let told = if body.has_ended() {
            body.tell_end().then_some(TS_EVENT_VCONN_WRITE_COMPLETE)
        } else {
            (asked || done).then_some(TS_EVENT_VCONN_WRITE_READY)
        };
        let output = part.output().and_then(Output::flush);
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
        let Some(ResponseTransform { transform, stage, .. }) = self.response.transform_mut() else {
            return;
        };
        let Stage::Filtering {
            part: Part::Body { client_is_slow, .. },
            ..
        } = stage
        else {
            return;
        };
        *client_is_slow = client::backlog(self.http) > BACKLOG;
        if *client_is_slow {
            // SAFETY: the transform is open, and the thread that runs is one of the server's.
            unsafe { TSContScheduleOnThread((*transform).into(), NEXT_LOOK, TSEventThreadSelf()) };
        }
    }

    /// The first event of the transform: the head is there, and can be changed until the output is opened.
    fn begin_response(&mut self, transform: TSVConn) {
        let input = Rc::<BodyInput>::default();
        input.attach(transform, false);
        // SAFETY: the transform has not been closed; its write side is there.
        let announced = input_of(transform).map(|vio| unsafe { TSVIONBytesGet(vio) });
        let length = announced
            .filter(|bytes| *bytes != i64::MAX)
            .and_then(|bytes| u64::try_from(bytes).ok());
        input.announce(length);
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
        let head = self.state.borrow().messages.server_response();
        let mut plans: smallvec::SmallVec<[StagePlan; 2]> = smallvec::SmallVec::new();
        if !self.begin_storing(head) {
            plans.extend(self.chain.response_plans());
        }
        // A part of a body is not what filters are to see.
        let is_part = head.is_some_and(|head| head.status() == 206 || head.has(names().content_range));
        if is_part && plans.iter().any(|plan| plan.interest.body) {
            warn_of_part();
        }
        let (part, shown) = match is_part {
            true => (Part::OnlyHead, Rc::default()),
            false => (Part::Head, Rc::clone(&input)),
        };
        // Another transform may have put bytes behind a head that has none.
        let is_empty = length == Some(0) || head.is_some_and(|head| is_bodiless(head.status()));
        let pump = self.response_pump(plans, is_part || is_empty, shown);
        self.response
            .run(Box::new(ResponseTransform::new(transform, input, pump, part)));
    }

    fn response_pump(
        &self,
        plans: smallvec::SmallVec<[StagePlan; 2]>,
        end_of_stream: bool,
        input: Rc<BodyInput>,
    ) -> Box<TxnPump> {
        Box::new(TxnPump::new(
            Direction::Response,
            plans,
            TxnSource::Server {
                head: Some(end_of_stream),
                input,
            },
            self.calls(),
            self.state.clone(),
        ))
    }

    fn pump_response(&mut self) {
        let abort = self.poll(|txn, cx| {
            loop {
                let transform = txn.response.transform_mut()?;
                if transform.is_full() {
                    return None;
                }
                let Stage::Filtering { pump, part, .. } = &mut transform.stage else {
                    return None;
                };
                match part {
                    Part::OnlyHead => match pump.poll_item(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Err(abort)) => return Some(abort),
                        Poll::Ready(Ok(_)) => {
                            let input = Rc::clone(&transform.input);
                            let rest = txn.response_pump(smallvec::SmallVec::new(), false, input);
                            txn.response.transform_mut()?.leave_filters(rest);
                        }
                    },
                    Part::Head => match pump.poll_item(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Err(abort)) => return Some(abort),
                        Poll::Ready(Ok(Item::Head { end_of_stream })) => transform.head_passed(end_of_stream),
                        Poll::Ready(Ok(_)) => transform.head_passed(true),
                    },
                    Part::Length { end_of_stream } => {
                        let end_of_stream = *end_of_stream;
                        let length = match pump.poll_length(cx, end_of_stream) {
                            Poll::Ready(length) => length,
                            Poll::Pending if txn.head_may_wait() => return None,
                            Poll::Pending => Length::Open,
                        };
                        txn.check_end();
                        if txn.state.borrow().stopped(Direction::Response) {
                            return Some(Abort::Stopped);
                        }
                        txn.state.borrow_mut().response_sent = true;
                        let head = txn.state.borrow().messages.server_response();
                        txn.decide_storing(head);
                        txn.response.transform_mut()?.open(length);
                    }
                    Part::Body { .. } => match pump.poll_item(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Err(abort)) => return Some(abort),
                        Poll::Ready(Ok(Item::Data(pieces, end))) => {
                            txn.check_end();
                            if !txn.check_storing() {
                                txn.state.borrow_mut().reset_with("filter_failed_while_stored");
                            }
                            if txn.state.borrow().stopped(Direction::Response) {
                                return Some(Abort::Stopped);
                            }
                            txn.response.transform_mut()?.pass(pieces, end);
                        }
                        Poll::Ready(Ok(Item::Head { .. })) => {}
                        Poll::Ready(Ok(Item::Trailers | Item::End)) => {
                            transform.pass(Pieces::default(), true);
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
            .response
            .transform()
            .is_some_and(|part| part.input.has_ended());
        let flag = if ended { facts::abort_flag(self.http) } else { 0 };
        if flag != 0 {
            let reply = local_reply::phrase(502, "upstream_reset");
            let mut state = self.state.borrow_mut();
            state.messages.facts.flags |= flag;
            state.reply_or_reset(reply, "upstream_reset_after_response_started");
        }
    }

    /// The response goes no further: an answer takes its place while its head has not gone out; later it is broken off.
    fn replace_response(&mut self) {
        let reply = self.state.borrow_mut().take_reply();
        let Some(part) = self.response.transform_mut() else {
            return;
        };
        // The filters let go of the response before its answer is made.
        part.break_off();
        let opened = part.output().is_some();
        if reply.is_none() || opened {
            {
                let mut state = self.state.borrow_mut();
                let reason = *state.reset.get_or_insert("reset");
                state.messages.facts.details = reason.into();
            }
            client::shut_down(self.http, opened);
            if opened {
                return;
            }
        }
        let head = self.state.borrow().messages.server_response();
        let reply = match reply {
            Some(reply) => self.final_reply(reply),
            // The connection is closed. An answer ends the transaction also where the server has got rid of its input, so that
            // an error there would go to nobody.
            None => Box::new(FinalReply::plain(500)),
        };
        if let Some(head) = head {
            reply.write(head, |_, _| false);
            head.remove_known(names().content_length);
        }
        self.state.borrow_mut().response_sent = true;
        self.forbid_storing();
        if let Some(part) = self.response.transform_mut() {
            part.answer(reply.body);
        }
    }

    /// True if the head of the response may wait until the length of its body is known.
    fn head_may_wait(&self) -> bool {
        let state = self.state.borrow();
        let head = state.messages.server_response();
        let may_wait = |value: &[u8]| head_may_wait(Some(value));
        head.and_then(|head| head.with_value(names().content_type, may_wait))
            .unwrap_or_else(|| head_may_wait(None))
    }
}

#[cold]
fn warn_of_part() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "a response is a part of a body, as cache_range_requests.so and slice.so ask for: body filters see its head alone, \
             and the part passes unchanged; with wasm.so before these plugins in the rule, filters see the whole body (said once)"
        );
    });
}
