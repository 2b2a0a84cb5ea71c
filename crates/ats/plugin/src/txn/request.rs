//! The request's head on its way through the filters.

use std::rc::Rc;
use std::task::Poll;

use weir_ats_sys::TSHttpTxn;
use weir_chain::{Abort, Direction, Item, LentCalls, Passed};
use weir_http_rules::flags;

use super::client;
use super::reply::FinalReply;
use super::source::TxnSource;
use super::{Flow, Step, Txn, TxnPump};

impl Txn {
    /// Shows the request to the filters of an instance: those behind the first `known`.
    pub(super) fn begin_request(&mut self, known: usize) -> Flow {
        if self.chain.len() == known {
            return Flow::Continue;
        }
        if known == 0 {
            self.request_has_body = self.state.borrow_mut().messages.look_at_request();
        }
        let end_of_stream = !self.request_has_body;
        let plans = || self.chain.request_plans_from(known);
        self.step = Step::RequestHead;
        if self.request.is_none() && (end_of_stream || !plans().any(|plan| plan.interest.body)) {
            let rest = || {
                let source = TxnSource::Server {
                    head: None,
                    input: Rc::clone(&self.request_input),
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
                Ok(Passed::Held(pump)) => self.request = Some(pump),
                Err(_) => return self.stopped(),
            }
            return self.advance();
        }
        let source = match self.request.take() {
            Some(pump) if !end_of_stream && pump.may_change_body() => TxnSource::Inner {
                head: Some(end_of_stream),
                pump,
                input: Rc::clone(&self.request_input),
            },
            _ => TxnSource::Server {
                head: Some(end_of_stream),
                input: Rc::clone(&self.request_input),
            },
        };
        self.request = Some(Box::new(TxnPump::new(
            Direction::Request,
            plans(),
            source,
            self.calls(),
            self.state.clone(),
        )));
        self.advance()
    }

    /// Moves the request's head on.
    pub(super) fn advance_request(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| {
            let pump = txn.request.as_mut()?;
            match pump.poll_item(cx) {
                Poll::Ready(item) => Some(item),
                Poll::Pending => None,
            }
        });
        match outcome {
            Some(Ok(Item::Head { .. })) => self.request_passed(),
            // A head comes first.
            Some(Ok(_)) => self.request_passed(),
            Some(Err(Abort::Stopped | Abort::Source(_))) => self.stopped(),
            None if self.request_input.take_asked() && self.request_has_body => {
                // A filter that holds the head wants to see the body. It comes only when the connection to the origin
                // stands, and the head can be changed until then.
                self.head_deferred = true;
                // What the filter has to say about the request must not be forestalled by a cached response.
                skip_cache(self.http);
                self.request_passed()
            }
            None => Flow::Pause,
        }
    }

    /// The request's head goes on to the server.
    fn request_passed(&mut self) -> Flow {
        self.step = Step::Idle;
        if self.origins.iter().any(|origin| origin.chain.bodies) {
            self.install_transforms();
        }
        Flow::Continue
    }

    /// The stream goes no further: answers as the state says, or resets.
    pub(super) fn stopped(&mut self) -> Flow {
        self.request = None;
        self.head_deferred = false;
        let reply = self.state.borrow_mut().take_reply();
        match reply {
            Some(reply) => self.begin_reply(reply),
            None => self.reset(),
        }
    }

    /// Breaks the client's connection off, as far as the server lets us.
    pub(super) fn reset(&mut self) -> Flow {
        self.step = Step::Idle;
        {
            let mut state = self.state.borrow_mut();
            let reason = *state.reset.get_or_insert("reset");
            state.messages.facts.details = reason.into();
            state.messages.facts.flags |= flags::LOCAL_RESET;
        }
        client::shut_down(self.http, false);
        self.reply = Some(Box::new(FinalReply::plain(500)));
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
