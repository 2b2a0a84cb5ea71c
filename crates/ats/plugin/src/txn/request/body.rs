//! The request's body on its way through the filters: the events of its transform.
//!
//! The transform stays open towards the client until the origin has been sent everything. The server closes one that is
//! through on both sides, and should the origin then answer before it has taken all of the body, as with 401 or 413, what
//! is left of it brings the server down (seen on 9.2.9; see also [`super::super::shield`]).

use std::ffi::{c_int, c_void};
use std::task::Poll;

use weir_ats_sys::{
    TS_EVENT_ERROR, TS_EVENT_VCONN_WRITE_COMPLETE, TS_EVENT_VCONN_WRITE_READY, TSCont, TSContDataGet,
    TSContDestroy, TSContScheduleOnThread, TSEvent, TSEventThreadSelf, TSHttpTxnServerReqBodyBytesGet,
    TSTransformOutputVConnGet, TSVConn, TSVConnClosedGet, TSVConnShutdown, TSVIO,
};
use weir_chain::{Abort, Item, Pieces, local_reply};

use super::super::output::Output;
use super::super::well_known::names;
use super::super::{Flow, Next, Txn, TxnPtr, client, input_of, is_open};
use super::RequestStage;
use super::transform::{Passed, Stage};

/// Handles the events of a request's transform.
///
/// # Safety
///
/// `cont` is a transform that `install_request_transform` made and that nobody has destroyed, with its mutex held by this
/// thread. Only the server calls this.
pub(in crate::txn) unsafe extern "C" fn on_event(cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
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
                        txn.request.detach();
                        txn.request.transform = None;
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
                        if let Some(part) = &mut txn.request.transform {
                            part.taken();
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
    pub(in crate::txn) fn drive_request_body(&mut self) -> Next {
        if self.is_closed() {
            // A transform may outlive its transaction, and an event of ours may be on its way to it.
            return Next::Nothing;
        }
        let Some(part) = &mut self.request.transform else {
            return Next::Nothing;
        };
        let transform = part.transform;
        if !is_open(transform) {
            return Next::Nothing;
        }
        part.start();
        // The connection to the origin stands, and the request to it has been made.
        self.state.borrow_mut().messages.server_request = true;
        let Some(input) = input_of(transform) else {
            return Next::Nothing;
        };
        if let Stage::Taken { .. } = part.stage {
            return self.await_sent(input);
        }
        part.input.take_asked();
        self.pump_request_body();
        let Some(part) = &mut self.request.transform else {
            return Next::Nothing;
        };
        let asked = part.input.take_asked();
        part.polled(asked);
        part.drain();
        let event = if part.input.has_ended() {
            part.tell().then_some(TS_EVENT_VCONN_WRITE_COMPLETE)
        } else {
            (asked || part.is_refused()).then_some(TS_EVENT_VCONN_WRITE_READY)
        };
        let output = part.output().and_then(Output::flush);
        self.mind_filters();
        Next::Output {
            output,
            input: event.map(|event| (input, event)),
        }
    }

    /// The server has taken the whole body: once it has sent it, the client's side is told that all is done. There is no
    /// event for that, so the plugin looks for it: at first each time the thread comes round, since a body of usual size is
    /// sent in the next round or two, before the origin can have answered.
    fn await_sent(&mut self, input: TSVIO) -> Next {
        const ROUNDS: u32 = 16;
        const LONGEST: u32 = 10;
        let Some(part) = &mut self.request.transform else {
            return Next::Nothing;
        };
        let Stage::Taken { output, looks } = &mut part.stage else {
            return Next::Nothing;
        };
        // SAFETY: the transaction exists while its transform is open.
        let sent = unsafe { TSHttpTxnServerReqBodyBytesGet(self.http) };
        if u64::try_from(sent).unwrap_or(0) >= output.written() {
            return match part.tell() {
                true => Next::Input(input, TS_EVENT_VCONN_WRITE_COMPLETE),
                false => Next::Nothing,
            };
        }
        let delay = looks.saturating_sub(ROUNDS).min(LONGEST);
        *looks += 1;
        // SAFETY: the transform is open, and the thread that runs is one of the server's.
        unsafe { TSContScheduleOnThread(part.transform.into(), i64::from(delay), TSEventThreadSelf()) };
        Next::Nothing
    }

    fn pump_request_body(&mut self) {
        let outcome = self.poll(|txn, cx| {
            loop {
                if !txn.request.transform.as_ref()?.takes_more() {
                    return None;
                }
                let item = match txn.request.stage.pump()?.poll_item(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(abort)) => return Some(abort),
                    Poll::Ready(Ok(item)) => item,
                };
                match item {
                    Item::Head { end_of_stream } => {
                        txn.request.stage.shift(RequestStage::Body);
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
                tracing::warn!(error = %error.0, "malformed request body: answered 400, or reset where an answer has begun");
                let reply = local_reply::phrase(400, "malformed_body");
                self.state.borrow_mut().reply_or_reset(reply, "malformed_body");
                self.refuse_request_body();
            }
        }
    }

    /// A part of the body has come through the filters.
    fn request_body_passed(&mut self, pieces: Pieces, end: bool) {
        let limit = self.body_limit();
        let Some(part) = &mut self.request.transform else {
            return;
        };
        match part.pass(pieces, end, limit) {
            Passed::Accepted => {}
            Passed::TooLong => {
                let reply = local_reply::phrase(413, "request_payload_too_large");
                self.state
                    .borrow_mut()
                    .reply_or_reset(reply, "request_payload_too_large");
            }
            Passed::LengthChanged { announced } => {
                tracing::error!(
                    announced,
                    "filters have changed the length of a request body that is longer than limits.body; the request is broken off"
                );
                self.state.borrow_mut().reset_with("request_body_length_changed");
                client::shut_down(self.http, true);
            }
        }
    }

    /// The filters answer instead of the origin. The answer is given at SEND_REQUEST_HDR, which comes when the output has
    /// been opened; it is lost where the request is already on its way.
    fn refuse_request_body(&mut self) {
        self.request.stage = RequestStage::Idle;
        let Some(part) = &mut self.request.transform else {
            return;
        };
        if part.refuse() {
            client::shut_down(self.http, true);
        }
    }

    /// The origin has answered before it has taken the whole body: the rest goes nowhere, and the filters see no more of it.
    /// The server forgets the transform, which is never closed then.
    pub(in crate::txn) fn on_request_aborted(&mut self) {
        self.request.close();
        if let Some(part) = &mut self.request.transform {
            part.abort();
        }
        self.mind_filters();
    }

    /// The request is about to be sent to the origin.
    pub(in crate::txn) fn on_send_request(&mut self) -> Next {
        let Some(part) = &self.request.transform else {
            return match self.unseen_body_comes() {
                true => self.refuse_unseen_body(),
                false => Next::flow(self.http, Flow::Continue),
            };
        };
        let chunked = part.is_chunked();
        if !part.has_started() {
            if self.unseen_body_comes() {
                return self.refuse_unseen_body();
            }
            // There was no body, although one had been expected: the filters learn of its end.
            self.state.borrow_mut().messages.server_request = true;
            self.request.detach();
            self.request.stage.shift(RequestStage::Tail);
            return self.advance_at_hook();
        }
        if part.is_refused() && self.response.reply().is_none() {
            if self.is_advancing() {
                return self.advance_at_hook();
            }
            let flow = self.stopped();
            return self.settle(flow);
        }
        if chunked && let Some(head) = self.state.borrow().messages.origin_request() {
            head.remove_known(names().transfer_encoding);
        }
        Next::flow(self.http, Flow::Continue)
    }

    /// Shows the filters the end of a body that has no bytes.
    pub(in crate::txn) fn advance_request_tail(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| {
            loop {
                match txn.request.stage.pump()?.poll_item(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(abort)) => return Some(Err(abort)),
                    Poll::Ready(Ok(Item::Head { end_of_stream: false } | Item::Data(_, false))) => {}
                    // Bytes that filters add to a body that is not there cannot be sent any more.
                    Poll::Ready(Ok(_)) => return Some(Ok(())),
                }
            }
        });
        match outcome {
            None => Flow::Pause,
            Some(Ok(())) => {
                self.request.stage.shift(RequestStage::Body);
                Flow::Continue
            }
            Some(Err(_)) => self.stopped(),
        }
    }

    /// True if a body follows that passes through no transform: that of a request of HTTP/2 without `content-length`.
    fn unseen_body_comes(&self) -> bool {
        self.response.reply().is_none()
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
    pub(in crate::txn) fn body_limit(&self) -> u64 {
        self.filters()
            .map(|filter| filter.config.body_limit)
            .max()
            .unwrap_or(weir_abi::limits::BODY as u64)
    }
}
