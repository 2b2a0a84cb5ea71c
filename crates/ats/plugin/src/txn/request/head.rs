//! The request's head on its way through the filters.

use std::task::Poll;

use weir_ats_sys::TSHttpTxn;
use weir_chain::{Abort, Direction, Item, LentCalls, Passed};
use weir_http_rules::flags;

use super::super::reply::FinalReply;
use super::super::source::TxnSource;
use super::super::{Flow, Txn, TxnPump, client};
use super::RequestStage;

impl Txn {
    /// Shows the request to the filters of an instance: those behind the first `known`.
    pub(in crate::txn) fn begin_request(&mut self, known: usize) -> Flow {
        if self.chain.len() == known {
            return match self.request.stage {
                RequestStage::Head(_) => Flow::Pause,
                _ => Flow::Continue,
            };
        }
        if known == 0 && self.state.borrow_mut().messages.look_at_request() {
            self.request.expect_body();
        }
        let end_of_stream = !self.request.has_body();
        let plans = || self.chain.request_plans_from(known);
        // The plugin may be there several times in a rule: the head comes to these filters when those before them let go.
        let is_held = matches!(self.request.stage, RequestStage::Head(_));
        let before = self.request.stage.take();
        if before.is_none() && (end_of_stream || !plans().any(|plan| plan.interest.body)) {
            let rest = || {
                let source = TxnSource::Server {
                    head: None,
                    input: self.request.input(),
                };
                (source, self.calls())
            };
            let calls = &mut LentCalls::new(&self.chain, &self.state);
            let passed = TxnPump::pass_head(
                Direction::Request,
                plans(),
                end_of_stream,
                calls,
                &self.state,
                rest,
            );
            match passed {
                Ok(Passed::Through { .. }) => return self.request_passed(),
                Ok(Passed::Held(pump)) => self.request.stage = RequestStage::Head(pump),
                Err(_) => return self.stopped(),
            }
            return self.advance();
        }
        let source = match before {
            Some(pump) if is_held || (!end_of_stream && pump.may_change_body()) => TxnSource::Inner {
                head: (!is_held).then_some(end_of_stream),
                pump,
                input: self.request.input(),
            },
            _ => TxnSource::Server {
                head: Some(end_of_stream),
                input: self.request.input(),
            },
        };
        self.request.stage = RequestStage::Head(Box::new(TxnPump::new(
            Direction::Request,
            plans(),
            source,
            self.calls(),
            self.state.clone(),
        )));
        self.advance()
    }

    /// Moves the request's head on.
    pub(in crate::txn) fn advance_request(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| match txn.request.stage.pump()?.poll_item(cx) {
            Poll::Ready(item) => Some(item),
            Poll::Pending => None,
        });
        match outcome {
            // A head comes first.
            Some(Ok(Item::Head { .. } | Item::Data(..) | Item::Trailers | Item::End)) => {
                self.request.stage.shift(RequestStage::Body);
                self.request_passed()
            }
            Some(Err(Abort::Stopped | Abort::Source(_))) => self.stopped(),
            None if self.request.take_asked() => {
                // A filter that holds the head wants to see the body.
                self.request.stage.shift(RequestStage::HeadDeferred);
                // A cached response must not forestall the filter's verdict on the request.
                skip_cache(self.http);
                self.request_passed()
            }
            None => Flow::Pause,
        }
    }

    /// The request's head goes on to the server.
    fn request_passed(&mut self) -> Flow {
        self.state.borrow_mut().messages.mapping = None;
        if self.origins.iter().any(|origin| origin.chain.bodies) {
            self.install_transforms();
        }
        Flow::Continue
    }

    /// The stream goes no further: answers as the state says, or resets.
    pub(in crate::txn) fn stopped(&mut self) -> Flow {
        self.request.stage = RequestStage::Idle;
        let reply = {
            let mut state = self.state.borrow_mut();
            state.messages.mapping = None;
            state.take_reply()
        };
        match reply {
            Some(reply) => self.begin_reply(reply),
            None => self.reset(),
        }
    }

    /// Breaks the client's connection off, as far as the server lets us.
    pub(in crate::txn) fn reset(&mut self) -> Flow {
        {
            let mut state = self.state.borrow_mut();
            let reason = *state.reset.get_or_insert("reset");
            state.messages.facts.details = reason.into();
            state.messages.facts.flags |= flags::LOCAL_RESET;
        }
        client::shut_down(self.http, false);
        self.response.set_reply(Box::new(FinalReply::plain(500)));
        self.give_reply();
        Flow::Error
    }
}

/// The cache has no part in the transaction. Before the lookup.
fn skip_cache(http: TSHttpTxn) {
    if let Some((key, _)) = crate::property::find_record(b"proxy.config.http.cache.http") {
        // SAFETY: the transaction exists, and the record is an integer.
        unsafe { weir_ats_sys::TSHttpTxnConfigIntSet(http, key, 0) };
    }
}
