//! The request's body on its way through the filters: a transform between the client and the origin.
//!
//! The transform stays open towards the client until the origin has been sent everything. The server closes one that is
//! through on both sides, and should the origin then answer before it has taken all of the body, as with 401 or 413, what
//! is left of it brings the server down (seen on 9.2.9; see also [`super::shield`]).
//!
//! The server wants to know the length of what it sends before it sends the request's head. So the body is collected
//! first, as far as the filters' limit goes; a longer one whose length the client has announced is passed on as it comes,
//! and must keep its length.

use std::ffi::{c_int, c_void};
use std::task::Poll;

use bytes::Bytes;
use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_VCONN_WRITE_COMPLETE, TS_EVENT_VCONN_WRITE_READY, TSCont, TSContDataGet,
    TSContDestroy, TSContScheduleOnThread, TSEvent, TSEventThreadSelf, TSHttpTxnServerReqBodyBytesGet,
    TSTransformOutputVConnGet, TSVConn, TSVConnClosedGet, TSVConnShutdown, TSVIO,
};
use weir_chain::{Abort, Item, Pieces, local_reply};

use super::output::Output;
use super::source::BodyInput;
use super::well_known::names;
use super::{Flow, Next, Step, Txn, TxnPtr, input_of};

/// A transform between client and origin.
pub(super) struct RequestTransform {
    transform: TSVConn,
    /// The body comes in the framing of HTTP/1.1, whose header must go with it.
    pub chunked: bool,
    /// Length that the client has announced.
    announced: Option<u64>,
    /// What has come through and waits for the rest.
    collected: Pieces,
    output: Option<Output>,
    /// The first event has come.
    started: bool,
    /// Everything has come through.
    complete: bool,
    /// The server has taken all of the output. It may not have sent it yet.
    taken: bool,
    /// How often it has been looked whether it has.
    looks: u32,
    /// The client's side has been told that all is done.
    told: bool,
    /// The origin gets nothing of it: an answer is on its way. Holds how much had come by then.
    refused: Option<u64>,
}

/// So much of a refused body is still taken, so that the answer finds a client that has finished speaking.
const DRAIN: u64 = 1 << 20;

impl RequestTransform {
    pub fn new(transform: TSVConn, chunked: bool, announced: Option<u64>) -> Self {
        Self {
            transform,
            chunked,
            announced: if chunked { None } else { announced },
            collected: Pieces::default(),
            output: None,
            started: false,
            complete: false,
            taken: false,
            looks: 0,
            told: false,
            refused: None,
        }
    }

    /// Whether the body is with the filters.
    pub const fn is_busy(&self) -> bool {
        self.started && !self.complete
    }

    /// The transform itself.
    pub const fn transform(&self) -> TSVConn {
        self.transform
    }
}

impl RequestTransform {
    /// Takes what comes of a refused body, and opens the output when the client has said it all or too much.
    fn drain(&mut self, input: &BodyInput) {
        input.drain();
        let since = input.taken() - self.refused.unwrap_or(0);
        if self.output.is_none() && (input.has_ended() || since > DRAIN) {
            let mut output = Output::open(self.transform, Some(1));
            output.write(&mut Pieces::from(Bytes::from_static(b"\n")));
            self.output = Some(output);
        }
    }
}

/// Handles the events of a request's transform.
pub(super) unsafe extern "C" fn on_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    crate::guard::event(|| {
        let transform = TSVConn::from(cont);
        // SAFETY: the data is the state that `install_request_transform` put there, which the transform holds until here.
        // The transform's mutex is the transaction's.
        unsafe {
            let txn = TxnPtr::new(TSContDataGet(cont).cast());
            if TSVConnClosedGet(transform) != 0 {
                TSContDestroy(cont);
                if let Some(txn) = txn {
                    txn.work(|txn| {
                        txn.request_input.detach();
                        txn.request_transform = None;
                        txn.held.request = false;
                        txn.mind_filters();
                        Next::Nothing
                    });
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
                TS_EVENT_VCONN_WRITE_COMPLETE => {
                    TSVConnShutdown(TSTransformOutputVConnGet(transform), 0, 1);
                    txn.work(|txn| {
                        if let Some(part) = &mut txn.request_transform {
                            part.taken = true;
                        }
                        txn.drive_request_body()
                    });
                }
                _ => txn.work(Txn::drive_request_body),
            }
        }
    })
}

impl Txn {
    /// Moves the request's body on.
    pub(super) fn drive_request_body(&mut self) -> Next {
        if self.closed {
            // A transform may outlive its transaction, and an event of ours may be on its way to it.
            return Next::Nothing;
        }
        let Some(part) = &mut self.request_transform else {
            return Next::Nothing;
        };
        let transform = part.transform;
        if !super::is_open(transform) {
            return Next::Nothing;
        }
        part.started = true;
        // The connection to the origin stands, and the request to it has been made.
        self.state.borrow_mut().messages.server_request = true;
        let Some(input) = input_of(transform) else {
            return Next::Nothing;
        };
        if part.taken && part.refused.is_none() {
            return self.await_sent(input);
        }
        self.request_input.take_asked();
        self.pump_request_body();
        let asked = self.request_input.take_asked();
        let Some(part) = &mut self.request_transform else {
            return Next::Nothing;
        };
        let waits_for_filter = !(part.complete || asked || part.output.as_ref().is_some_and(Output::is_full));
        let refused = part.refused.is_some();
        if refused {
            part.drain(&self.request_input);
        }
        let ended = self.request_input.has_ended();
        let output = part.output.as_mut().and_then(Output::flush);
        let input = if ended {
            (refused && !std::mem::replace(&mut part.told, true))
                .then_some((input, TS_EVENT_VCONN_WRITE_COMPLETE))
        } else if asked || refused {
            Some((input, TS_EVENT_VCONN_WRITE_READY))
        } else {
            None
        };
        self.held.request = waits_for_filter;
        self.mind_filters();
        Next::Output { output, input }
    }

    /// The server has taken the whole body: once it has sent it, the client's side is told that all is done. There is no
    /// event for that, so it is looked for: at first each time the thread comes round, since a body of usual size is sent
    /// in the next round or two, before the origin can have answered.
    fn await_sent(&mut self, input: TSVIO) -> Next {
        const ROUNDS: u32 = 16;
        const LONGEST: u32 = 10;
        let Some(part) = &mut self.request_transform else {
            return Next::Nothing;
        };
        let length = part.output.as_ref().map_or(0, Output::written);
        // SAFETY: the transaction exists while its transform is open.
        let sent = unsafe { TSHttpTxnServerReqBodyBytesGet(self.http) };
        if u64::try_from(sent).unwrap_or(0) >= length {
            return match std::mem::replace(&mut part.told, true) {
                true => Next::Nothing,
                false => Next::Input(input, TS_EVENT_VCONN_WRITE_COMPLETE),
            };
        }
        let delay = part.looks.saturating_sub(ROUNDS).min(LONGEST);
        part.looks += 1;
        // SAFETY: the transform is open, and the thread that runs is one of the server's.
        unsafe { TSContScheduleOnThread(part.transform.into(), i64::from(delay), TSEventThreadSelf()) };
        Next::Nothing
    }

    fn pump_request_body(&mut self) {
        let outcome = self.poll(|txn, cx| {
            loop {
                let part = txn.request_transform.as_mut()?;
                if part.complete || part.output.as_ref().is_some_and(Output::is_full) {
                    return None;
                }
                let item = match txn.request.as_mut()?.poll_item(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(abort)) => return Some(abort),
                    Poll::Ready(Ok(item)) => item,
                };
                match item {
                    Item::Head { end_of_stream } => {
                        txn.head_deferred = false;
                        if end_of_stream {
                            txn.request_body_passed(Pieces::default(), true);
                        }
                    }
                    Item::Data(pieces, end) => txn.request_body_passed(pieces, end),
                    Item::Trailers | Item::End => txn.request_body_passed(Pieces::default(), true),
                }
            }
        });
        match outcome {
            None => {}
            Some(Abort::Stopped) => self.refuse_request_body(),
            Some(Abort::Source(error)) => {
                tracing::warn!(error = %error.0, "a request's body is refused");
                let reply = local_reply::phrase(400, "malformed_body");
                self.state.borrow_mut().reply_or_reset(reply, "malformed_body");
                self.refuse_request_body();
            }
        }
    }

    /// A part of the body has come through the filters.
    fn request_body_passed(&mut self, mut pieces: Pieces, end: bool) {
        let limit = self.body_limit();
        let Some(part) = &mut self.request_transform else {
            return;
        };
        part.complete |= end;
        if part.output.is_none() {
            part.collected.append(&mut pieces);
            if part.complete {
                let length = part.collected.len() as u64;
                part.output = Some(Output::open(part.transform, Some(length)));
            } else if part.announced.is_some_and(|announced| announced > limit)
                && part.collected.len() as u64 > limit
            {
                // Too long to be collected: from here on it must keep the length that was announced.
                part.output = Some(Output::open(part.transform, part.announced));
            } else if part.announced.is_none() && part.collected.len() as u64 > limit {
                let reply = local_reply::phrase(413, "request_payload_too_large");
                self.state
                    .borrow_mut()
                    .reply_or_reset(reply, "request_payload_too_large");
                return;
            } else {
                return;
            }
            pieces = std::mem::take(&mut part.collected);
        }
        let Some(output) = &mut part.output else {
            return;
        };
        output.write(&mut pieces);
        if part.complete && !output.is_complete() {
            tracing::error!(
                announced = part.announced,
                "filters have changed the length of a request body that is longer than limits.body; the request is broken off"
            );
            self.state.borrow_mut().reset_with("request_body_length_changed");
            super::client::shut_down(self.http, true);
        }
    }

    /// The filters answer instead of the origin. The answer is given at SEND_REQUEST_HDR, which comes when the output has
    /// been opened; it is lost where the request is already on its way.
    fn refuse_request_body(&mut self) {
        self.request = None;
        self.head_deferred = false;
        let Some(part) = &mut self.request_transform else {
            return;
        };
        part.refused = Some(self.request_input.taken());
        part.complete = true;
        part.collected.clear();
        if part.output.is_some() {
            super::client::shut_down(self.http, true);
        }
    }

    /// The origin has answered before it has taken the whole body: the rest goes nowhere, and the filters see no more of it.
    /// The server forgets the transform, which is never closed then.
    pub(super) fn on_request_aborted(&mut self) {
        self.request_input.detach();
        self.request = None;
        self.held.request = false;
        self.mind_filters();
        if let Some(part) = &mut self.request_transform {
            part.complete = true;
            part.collected.clear();
        }
    }

    /// The request is about to be sent to the origin.
    pub(super) fn on_send_request(&mut self) -> Next {
        let Some(part) = &self.request_transform else {
            return match self.unseen_body_comes() {
                true => self.refuse_unseen_body(),
                false => Next::flow(self.http, Flow::Continue),
            };
        };
        let (refused, started, chunked) = (part.refused.is_some(), part.started, part.chunked);
        if !started && self.unseen_body_comes() {
            return self.refuse_unseen_body();
        }
        if !started {
            // There was no body, although one had been expected: the filters learn of its end.
            self.state.borrow_mut().messages.server_request = true;
            self.request_input.detach();
            self.step = Step::RequestTail;
            return self.advance_at_hook();
        }
        if refused && self.reply.is_none() {
            if self.step == Step::Idle {
                let flow = self.stopped();
                return self.settle(flow);
            }
            return self.advance_at_hook();
        }
        if chunked && let Some(head) = self.state.borrow().messages.origin_request() {
            head.remove_known(names().transfer_encoding);
        }
        Next::flow(self.http, Flow::Continue)
    }

    /// Shows the filters the end of a body that has no bytes.
    pub(super) fn advance_request_tail(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| {
            loop {
                match txn.request.as_mut()?.poll_item(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(abort)) => return Some(Err(abort)),
                    Poll::Ready(Ok(Item::Head { end_of_stream: false } | Item::Data(_, false))) => {}
                    // What filters put into a body that is not there cannot be sent any more.
                    Poll::Ready(Ok(_)) => return Some(Ok(())),
                }
            }
        });
        match outcome {
            None if self.request.is_some() => Flow::Pause,
            None | Some(Ok(())) => {
                self.step = Step::Idle;
                self.head_deferred = false;
                Flow::Continue
            }
            Some(Err(_)) => self.stopped(),
        }
    }

    /// Whether a body follows that passes through no transform: that of a request of HTTP/2 without `content-length`.
    fn unseen_body_comes(&self) -> bool {
        self.reply.is_none()
            && self
                .state
                .borrow()
                .messages
                .origin_request()
                .is_some_and(|head| head.has(names().transfer_encoding))
    }

    /// A body that filters want to see must not get past them.
    fn refuse_unseen_body(&mut self) -> Next {
        let reply = local_reply::phrase(411, "unseen_body");
        self.state.borrow_mut().reply_with(reply);
        let flow = self.stopped();
        self.settle(flow)
    }

    /// The most that is collected of a body.
    pub(super) fn body_limit(&self) -> u64 {
        self.filters()
            .map(|filter| filter.config.body_limit)
            .max()
            .unwrap_or(weir_abi::limits::BODY as u64)
    }
}
