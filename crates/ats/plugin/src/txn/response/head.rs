//! The response's head on its way through the filters where no transform is run: at SEND_RESPONSE_HDR.

use std::rc::Rc;
use std::task::Poll;

use smallvec::SmallVec;
use weir_ats_sys::{TS_SUCCESS, TSHttpTxnCachedRespGet, TSHttpTxnServerRespGet};
use weir_chain::{Abort, Direction, Item, LentCalls, Passed, StagePlan};
use weir_http_rules::status::is_bodiless;

use super::super::caching::mark_of;
use super::super::messages::Response;
use super::super::mime::Head;
use super::super::reply::FinalReply;
use super::super::request::RequestStage;
use super::super::source::TxnSource;
use super::super::well_known::names;
use super::super::{Flow, Next, Position, Txn, TxnPump};
use super::{Known, SentHead};
use crate::mark;
use crate::thread_chain::ThreadFilter;

impl Txn {
    /// The server is about to send the response's head.
    pub(in crate::txn) fn on_send_response(&mut self) -> Next {
        let position = match self.position {
            // Another plugin of the rule has answered, so that the mapping's outcome was not carried out.
            Position::Mapped(Flow::Pause | Flow::Error) => {
                self.request.stage = RequestStage::Idle;
                std::mem::replace(&mut self.position, Position::Running)
            }
            position => position,
        };
        match self.response.send() {
            Known::Reply(reply) => {
                if let Position::Mapped(_) = position {
                    // The answer of our filters came first.
                    self.give_body(&reply);
                }
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
                self.drop_length();
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
                self.drop_length();
                Flow::Continue
            }
            Some(Err(Abort::Stopped | Abort::Source(_))) => self.response_stopped(),
        }
    }

    /// The response goes no further: answers as the state says, or resets.
    fn response_stopped(&mut self) -> Flow {
        self.response.set_sent(SentHead::Server);
        let reply = self.state.borrow_mut().take_reply();
        let Some(reply) = reply else {
            return self.reset();
        };
        let follows = self.what_follows();
        let status = reply.status;
        if follows == Follows::Body && (status >= 400 || is_bodiless(status)) {
            // The server drops the body that it has, and with it the fields of all.
            return self.answer_with(reply);
        }
        let mut reply = self.final_reply(reply);
        if follows == Follows::Body {
            // The body that is sent is not the answer's.
            reply.lines.retain(|(name, _)| !name.starts_with(b"content-"));
        }
        self.write_over(&reply, follows);
        self.response.set_sent(SentHead::Reply(reply));
        Flow::Continue
    }

    /// The body that the server sends behind the head that it is about to send.
    fn what_follows(&self) -> Follows {
        let Some(head) = self.client_head() else {
            return Follows::Nothing;
        };
        match self.base_head(head.status()) {
            None => Follows::Page,
            Some(_) if head.status() == 304 => Follows::Page,
            Some(_) if self.state.borrow().messages.is_head || is_bodiless(head.status()) => Follows::Nothing,
            Some(_) if head.is_empty() => Follows::Nothing,
            Some(_) => Follows::Body,
        }
    }

    /// The head of the origin or of the cache that the server has made one with this status of; `None` where it has made the
    /// response by itself.
    fn base_head(&self, status: u16) -> Option<Head> {
        let http = self.http;
        // SAFETY: the transaction is stopped at a hook; the getters say whether there is such a head.
        let base = unsafe {
            if self.is_from_cache(status) {
                Head::from_getter(|buffer, loc| TSHttpTxnCachedRespGet(http, buffer, loc) == TS_SUCCESS)
            } else {
                Head::from_getter(|buffer, loc| TSHttpTxnServerRespGet(http, buffer, loc) == TS_SUCCESS)
            }
        };
        // The server makes these two of a head with another status.
        base.filter(|base| base.status() == status || matches!(status, 206 | 304))
    }

    /// Writes an answer over a head that the server is about to send. A body that follows stays, with the fields about it.
    fn write_over(&self, reply: &FinalReply, follows: Follows) {
        let Some(head) = self.client_head() else {
            return;
        };
        let base = self.base_head(head.status());
        let has_body = follows == Follows::Body;
        // Fields that the base does not have are of other plugins.
        reply.write(head, |name, value| match base {
            Some(_) if has_body && name.starts_with(b"content-") => name != b"content-range",
            Some(base) => name != b"age" && !base.has_line(name, value),
            None => !is_of_page(name, value),
        });
        match follows {
            Follows::Page => self.give_body(reply),
            Follows::Nothing => {
                head.remove_known(names().content_length);
                if reply.status != 204 && reply.status != 304 && !self.state.borrow().messages.is_head {
                    head.add(b"Content-Length", b"0");
                }
            }
            Follows::Body => warn_of_body(),
        }
        self.state.borrow_mut().response_sent = true;
    }

    /// Makes the head that the server sends for an answer of ours that of the answer. Fields of other plugins stay.
    fn write_reply(&self, reply: &FinalReply) {
        if let Some(head) = self.client_head() {
            reply.write(head, |name, value| !is_of_page(name, value));
        }
        self.state.borrow_mut().response_sent = true;
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

    /// Drops a length that RFC 9110, 8.6 forbids: the server gives one to each response out of a transform, also to a 204, and
    /// to HEAD that of the origin, though filters may change the body that GET gets.
    fn drop_length(&self) {
        let is_of_another_body = {
            let state = self.state.borrow();
            let is_reply = matches!(state.messages.response, Response::Local(_));
            state.messages.is_head && !is_reply && self.chain.wants_body(Direction::Response, &state)
        };
        if let Some(head) = self.client_head()
            && (head.status() == 204 || is_of_another_body)
        {
            head.remove_known(names().content_length);
        }
    }

    /// The status of the response that the server is about to send.
    fn sent_status(&self) -> u16 {
        self.client_head().map_or(0, Head::status)
    }

    /// The head that the server is about to send, whatever filters see.
    fn client_head(&self) -> Option<Head> {
        let mut state = self.state.borrow_mut();
        let shown = std::mem::replace(&mut state.messages.response, Response::Client);
        let head = state.messages.server_response();
        state.messages.response = shown;
        head
    }

    fn is_bodiless(&self) -> bool {
        let state = self.state.borrow();
        let Some(head) = state.messages.server_response() else {
            return true;
        };
        is_bodiless(head.status()) || head.is_empty() || state.messages.is_head
    }
}

/// The body that the server sends behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// A page of its own, which another body can replace.
    Page,
    /// Nothing.
    Nothing,
    /// The body of the origin or of the cache.
    Body,
}

/// True for a line that the server gives to its own pages.
fn is_of_page(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"content-type" | b"content-language" | b"location" => true,
        b"cache-control" => value == b"no-store",
        _ => false,
    }
}

#[cold]
fn warn_of_body() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "a filter has answered with a status below 400 after it had declined the response's body: the answer's status and \
             fields are sent, and the body of the origin; a filter that may answer a response should not decline its body \
             (said once)"
        );
    });
}
