//! The response's head on its way through the filters where no transform is run: at SEND_RESPONSE_HDR.

use std::rc::Rc;
use std::task::Poll;

use smallvec::SmallVec;
use weir_chain::{Abort, Direction, Item, LentCalls, Passed, StagePlan};
use weir_http_rules::status::is_bodiless;

use super::super::caching::mark_of;
use super::super::messages::Response;
use super::super::mime::Head;
use super::super::reply::FinalReply;
use super::super::source::TxnSource;
use super::super::well_known::names;
use super::super::{Flow, Next, Txn, TxnPump};
use super::{Known, SentHead};
use crate::mark;
use crate::thread_chain::ThreadFilter;

impl Txn {
    /// The server is about to send the response's head.
    pub(in crate::txn) fn on_send_response(&mut self) -> Next {
        match self.response.send() {
            Known::Reply(reply) => {
                self.write_reply(&reply);
                self.response.set_sent(SentHead::Reply(reply));
                Next::flow(self.http, Flow::Continue)
            }
            Known::Made if !self.is_from_cache(self.sent_status()) => self.show_response(),
            Known::Seen | Known::Made => {
                let mut state = self.state.borrow_mut();
                // From here on they read what the client gets; the transform's head does not live as long.
                if !matches!(state.messages.response, Response::Local(_)) {
                    state.messages.response = Response::Client;
                }
                state.response_sent = true;
                drop(state);
                self.drop_length();
                Next::flow(self.http, Flow::Continue)
            }
            Known::Unseen => self.show_response(),
        }
    }

    /// Shows the response's head to the filters.
    fn show_response(&mut self) -> Next {
        {
            let mut state = self.state.borrow_mut();
            state.messages.response = Response::Client;
            if state.messages.facts.details.is_empty() {
                state.messages.facts.details = "via_upstream".into();
            }
        }
        let mut plans: SmallVec<[StagePlan; 2]> = self.chain.response_plans().collect();
        self.leave_out_makers(&mut plans);
        if plans.is_empty() {
            self.state.borrow_mut().response_sent = true;
            return Next::flow(self.http, Flow::Continue);
        }
        // Filters that want to see the body are told that there is none: no transform is run for this response.
        let wants_body = plans.iter().any(|plan| plan.interest.body);
        let rest = || {
            let source = TxnSource::Server {
                head: None,
                input: Rc::default(),
            };
            (source, self.calls())
        };
        let passed = TxnPump::pass_head(
            Direction::Response,
            plans,
            wants_body || self.is_bodiless(),
            &mut LentCalls::new(&self.chain, &self.state),
            &self.state,
            rest,
        );
        match passed {
            Ok(Passed::Through { .. }) => {
                self.state.borrow_mut().response_sent = true;
                Next::flow(self.http, Flow::Continue)
            }
            Ok(Passed::Held(pump)) => {
                self.response.set_sent(SentHead::Held(pump));
                self.advance_at_hook()
            }
            Err(_) => {
                let flow = self.response_stopped();
                self.settle(flow)
            }
        }
    }

    /// Moves the response's head on.
    pub(in crate::txn) fn advance_response(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| match txn.response.held_head()?.poll_item(cx) {
            Poll::Ready(item) => Some(item),
            Poll::Pending => None,
        });
        match outcome {
            None => Flow::Pause,
            Some(Ok(Item::Head { .. } | Item::Data(..) | Item::Trailers | Item::End)) => {
                self.response.set_sent(SentHead::Server);
                self.state.borrow_mut().response_sent = true;
                Flow::Continue
            }
            Some(Err(Abort::Stopped | Abort::Source(_))) => self.response_stopped(),
        }
    }

    /// The response goes no further: answers as the state says, or resets.
    fn response_stopped(&mut self) -> Flow {
        self.response.set_sent(SentHead::Server);
        let reply = self.state.borrow_mut().take_reply();
        match reply {
            Some(reply) => self.answer_with(reply),
            None => self.reset(),
        }
    }

    /// Makes the head that the server sends for an answer of ours that of the answer.
    fn write_reply(&self, reply: &FinalReply) {
        let mut state = self.state.borrow_mut();
        let shown = std::mem::replace(&mut state.messages.response, Response::Client);
        if let Some(head) = state.messages.server_response() {
            reply.write(head);
        }
        // The filters go on seeing their own.
        state.messages.response = shown;
        state.response_sent = true;
    }

    /// An object of the cache that some of these filters have made, as filters of another chain, is not shown to them again.
    fn leave_out_makers(&self, plans: &mut SmallVec<[StagePlan; 2]>) {
        let Some(head) = self.state.borrow().messages.server_response() else {
            return;
        };
        let Some(mark) = mark_of(head) else {
            return;
        };
        head.remove(mark::FIELD);
        if self.is_from_cache(head.status()) {
            let filters: SmallVec<[&ThreadFilter; 4]> = self.filters().collect();
            let made = |filter: usize| {
                filters
                    .get(filter)
                    .is_some_and(|filter| mark::names(&mark, filter.mark()))
            };
            plans.retain(|plan| !made(plan.filter));
        }
    }

    /// The server gives a length to each response out of a transform; one without a body has none.
    fn drop_length(&self) {
        if let Some(head) = self.state.borrow().messages.server_response()
            && is_bodiless(head.status())
            && head.status() != 304
        {
            head.remove_known(names().content_length);
        }
    }

    /// The status of the response that the server is about to send.
    fn sent_status(&self) -> u16 {
        let mut state = self.state.borrow_mut();
        let shown = std::mem::replace(&mut state.messages.response, Response::Client);
        let status = state.messages.server_response().map_or(0, Head::status);
        state.messages.response = shown;
        status
    }

    fn is_bodiless(&self) -> bool {
        let state = self.state.borrow();
        let Some(head) = state.messages.server_response() else {
            return true;
        };
        is_bodiless(head.status()) || head.is_empty() || state.messages.is_head
    }
}
