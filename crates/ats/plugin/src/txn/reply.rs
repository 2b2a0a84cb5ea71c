//! Answers of filters: through the filters that know of the request, and to the client.

use std::ffi::CString;
use std::task::Poll;

use smallvec::SmallVec;
use weir_ats_sys::{Given, TSHttpTxnErrorBodySet, TSHttpTxnStatusSet};
use weir_chain::{Abort, Direction, Item, LocalSource, Pieces, ResponseHead, local_reply};
use weir_host::{Charge, LocalResponse};
use weir_http_rules::names::{is_framing_field, is_sender_field};

use super::messages::{Response, content_type_and_method};
use super::mime::Head;
use super::source::TxnSource;
use super::{Flow, Position, Txn, TxnPump};

/// An answer that has come through the filters.
pub(super) struct FinalReply {
    /// Its status.
    pub status: u16,
    /// Its lines, without framing.
    pub lines: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body; shares the bytes of the filter's answer.
    pub body: Pieces,
}

impl FinalReply {
    /// An answer that says nothing more.
    pub fn plain(status: u16) -> Self {
        Self {
            status,
            lines: Vec::new(),
            body: Pieces::default(),
        }
    }

    /// An answer with this head, which has no body yet.
    pub fn new(head: &ResponseHead) -> Self {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
        };
        Self {
            status: head.status.as_u16(),
            lines: head
                .fields
                .iter()
                .filter(|(name, _)| *name != http::header::CONTENT_LENGTH)
                .map(line)
                .collect(),
            body: Pieces::default(),
        }
    }

    /// Makes a head in the server's memory that of the answer. Framing, the date and the server's name are the server's;
    /// other fields go unless they `stay`, which those of other plugins do.
    pub fn write(&self, head: Head, stays: impl Fn(&[u8], &[u8]) -> bool) {
        head.retain_lines(|name, value| {
            is_framing_field(name) || is_sender_field(name) || (stays(name, value) && !self.has(name))
        });
        head.set_status(self.status);
        for (name, value) in &self.lines {
            head.add(name, value);
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.lines.iter().any(|(other, _)| other == name)
    }

    /// The type of the body, for the server. Without a body the head is as `FinalReply::write` makes it, and no type is added
    /// to it.
    fn kind(&self) -> Option<CString> {
        let line = self.lines.iter().find(|(name, _)| name == b"content-type");
        // Values of fields hold no NUL.
        let kind = || line.and_then(|(_, value)| CString::new(value.as_slice()).ok());
        (!self.body.is_empty()).then(|| kind().unwrap_or_default())
    }
}

impl Txn {
    /// Sends an answer through the filters that know of the request.
    pub(super) fn begin_reply(&mut self, reply: LocalResponse) -> Flow {
        let body = {
            let mut state = self.state.borrow_mut();
            state.messages.facts.details = match reply.details.as_str() {
                "" => "direct_response".into(),
                details => details.to_owned().into(),
            };
            let (fields, method) = content_type_and_method(&state.messages);
            let (head, body) = local_reply::render(reply, &fields, &method);
            state.messages.response = Response::Local(Box::new(head));
            body
        };
        let plans: SmallVec<[_; 2]> = self.chain.response_plans().collect();
        let pump = Box::new(TxnPump::new(
            Direction::Response,
            plans,
            TxnSource::Local(LocalSource::new(body)),
            self.calls(),
            self.state.clone(),
        ));
        self.response.begin_reply(pump);
        self.advance()
    }

    /// Moves the answer on.
    pub(super) fn advance_reply(&mut self) -> Flow {
        let outcome = self.poll(|txn, cx| {
            loop {
                let (pump, reply) = txn.response.local()?;
                match pump.poll_item(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(abort)) => return Some(Err(abort)),
                    Poll::Ready(Ok(Item::Head { end_of_stream })) => {
                        if let Response::Local(head) = &txn.state.borrow().messages.response {
                            *reply = Some(Box::new(FinalReply::new(head)));
                        }
                        if end_of_stream {
                            return Some(Ok(()));
                        }
                    }
                    Poll::Ready(Ok(Item::Data(mut pieces, end))) => {
                        if let Some(reply) = reply {
                            reply.body.append(&mut pieces);
                        }
                        if end {
                            return Some(Ok(()));
                        }
                    }
                    Poll::Ready(Ok(Item::Trailers | Item::End)) => return Some(Ok(())),
                }
            }
        });
        match outcome {
            None => Flow::Pause,
            Some(Ok(())) => match self.response.end_local() {
                Some(reply) => {
                    self.response.set_reply(reply);
                    self.give_reply();
                    Flow::Error
                }
                // A head comes first.
                None => self.reset(),
            },
            Some(Err(Abort::Stopped | Abort::Source(_))) => {
                drop(self.response.end_local());
                let other = self.state.borrow_mut().take_reply();
                match other {
                    // An answer to an answer is not shown to the filters again.
                    Some(reply) => self.answer_with(reply),
                    None => self.reset(),
                }
            }
        }
    }

    /// Forgets an answer that the server does not have yet: it sends the answer of another plugin, which filters see as any
    /// response.
    pub(super) fn drop_reply(&mut self) {
        self.response.forget_answer();
        self.state.borrow_mut().messages.response = Response::None;
    }

    /// Answers without showing the answer to filters.
    pub(super) fn answer_with(&mut self, reply: LocalResponse) -> Flow {
        let reply = self.final_reply(reply);
        self.response.set_reply(reply);
        self.give_reply();
        Flow::Error
    }

    /// Makes an answer the one that filters read as the response from here on.
    pub(super) fn final_reply(&mut self, reply: LocalResponse) -> Box<FinalReply> {
        let mut state = self.state.borrow_mut();
        if !reply.details.is_empty() {
            state.messages.facts.details = reply.details.clone().into();
        }
        let (fields, method) = content_type_and_method(&state.messages);
        let (head, body) = local_reply::render(reply, &fields, &method);
        let mut reply = FinalReply::new(&head);
        reply.body = body.into();
        state.messages.response = Response::Local(Box::new(head));
        Box::new(reply)
    }

    /// Hands the final answer to the server, which sends it when the transaction is re-enabled with an error. The server keeps
    /// a copy of the body, which the filter's VM pays for like the answer itself.
    pub(super) fn give_reply(&mut self) {
        if self.position == Position::Mapping {
            return;
        }
        let Some(len) = self.response.reply().map(|reply| reply.body.len()) else {
            return;
        };
        let charge = self
            .state
            .borrow()
            .reply_charge
            .as_deref()
            .map(|charge| charge.another(len));
        match charge.unwrap_or_else(|| Ok(Charge::none())) {
            Ok(charge) => self.given = charge,
            Err(_) => self.response.set_reply(Box::new(FinalReply::plain(500))),
        }
        let Some(reply) = self.response.reply() else {
            return;
        };
        self.state.borrow_mut().response_sent = true;
        // SAFETY: the transaction is stopped at a hook.
        unsafe { TSHttpTxnStatusSet(self.http, i32::from(reply.status)) };
        self.give_body(reply);
    }

    /// Hands the body of an answer to the server, which sends it in place of its own pages.
    pub(super) fn give_body(&self, reply: &FinalReply) {
        let kind = reply.kind();
        // SAFETY: the transaction is stopped at a hook; the server takes both copies over, as `Given` makes them for it.
        unsafe {
            let pieces: SmallVec<[_; 4]> = reply.body.iter().collect();
            let (body, len) = Given::pieces(&pieces).into_raw();
            let kind = kind.map_or(std::ptr::null_mut(), |kind| Given::text(&kind).into_raw().0);
            TSHttpTxnErrorBodySet(self.http, body, len, kind);
        }
    }
}
