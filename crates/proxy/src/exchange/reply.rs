//! Ending an exchange otherwise than with the upstream's response.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use weir_account::Charge;
use weir_chain::{Abort, Direction, LocalSource, Pump, local_reply};
use weir_host::LocalResponse;
use weir_http_rules::flags;
use weir_outbound::TrailingBody;

use super::head::{finish_head, local_length, take_head, trailer_path};
use super::{Exchange, Outgoing};
use crate::bodies::{Aborted, ResponseBody, ResponsePump, ResponseSource};

impl Exchange {
    /// A response was on its way through the filters and one of them gave another: that one goes out as it is.
    pub(super) fn replaced(self, abort: &Abort) -> Result<Outgoing, Aborted> {
        if let Abort::Source(_) = abort {
            self.state.borrow_mut().source_failed(Direction::Response);
        }
        let reply = self.state.borrow_mut().take_reply();
        let Some(reply) = reply else {
            return Err(self.reset());
        };
        let mut pump = self.reply(reply, false);
        self.state.borrow_mut().response_sent = true;
        // Without filters the head is there at once.
        let _ = pump.poll_item(&mut Context::from_waker(std::task::Waker::noop()));
        let (head, length, version) = {
            let mut state = self.state.borrow_mut();
            let head = state.messages.response.as_mut().ok_or(Aborted("no_head"))?;
            (
                take_head(head, true),
                local_length(&pump),
                state.messages.request.version,
            )
        };
        let mut head = head;
        finish_head(&mut head, &self.state);
        let path = trailer_path(version, length, &self.connection);
        Ok(head.map(|()| TrailingBody::with_path(ResponseBody::new(pump, length, self), path)))
    }

    /// The request goes no further: answers as the state says, through the filters that know of the request, or resets.
    pub(super) async fn stopped(self) -> Result<Outgoing, Aborted> {
        let reply = self.state.borrow_mut().take_reply();
        match reply {
            Some(reply) => {
                let pump = self.reply(reply, true);
                Box::pin(self.deliver(pump, None)).await
            }
            None => Err(self.reset()),
        }
    }

    /// Makes an answer the response.
    pub(super) fn reply(&self, reply: LocalResponse, through_filters: bool) -> ResponsePump {
        let body = {
            let mut state = self.state.borrow_mut();
            state.messages.facts.details = match reply.details.as_str() {
                "" => Cow::Borrowed("direct_response"),
                details => Cow::Owned(details.to_owned()),
            };
            let (head, body) = local_reply::render(reply, &state.messages.request.fields, &self.method);
            state.messages.response = Some(head);
            state.messages.response_trailers = None;
            body
        };
        // hyper may have the body long after the exchange is over, so the body keeps what pays for it.
        let charge = self.state.borrow().reply_charge.clone();
        let body = match charge {
            Some(charge) if !body.is_empty() => Bytes::from_owner(PaidBody {
                body,
                _charge: charge,
            }),
            _ => body,
        };
        let plans = through_filters
            .then(|| self.chain.response_plans())
            .into_iter()
            .flatten();
        let source = ResponseSource::Local(LocalSource::new(body));
        Pump::new(
            Direction::Response,
            plans,
            source,
            self.calls(),
            self.state.clone(),
        )
    }

    /// Why the exchange ends without a response.
    pub(super) fn reset(&self) -> Aborted {
        let mut state = self.state.borrow_mut();
        let reason = *state.reset.get_or_insert("reset");
        if state.messages.facts.flags & flags::DOWNSTREAM_TERMINATION == 0 {
            state.messages.facts.flags |= flags::LOCAL_RESET;
        }
        Aborted(reason)
    }
}

/// The body of a filter's answer, and what its VM pays for it.
struct PaidBody {
    body: Bytes,
    _charge: Arc<Charge>,
}

impl AsRef<[u8]> for PaidBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
