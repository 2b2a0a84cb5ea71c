//! Messages whose body a proxy has whole: for proxies that collect bodies before they show them to filters.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::uri::Scheme;
use http::{Request, Response};
use weir_http_rules::fields;
use weir_meters::Meters;

use crate::filters::{Chain, ChainCalls};
use crate::head::{RequestHead, ResponseHead};
use crate::local_reply;
use crate::messages::Messages;
use crate::open::OpenStream;
use crate::pump::{Abort, Pump};
use crate::source::{Item, LocalSource};
use crate::state::Direction;
use crate::{Facts, HttpMessages};

impl<M: Messages> OpenStream<M> {
    /// Passes a message with its whole body through the filters of one direction, and returns the body that they made of it.
    /// The message's head lies in the state before and after. The future waits for as long as a filter holds the message:
    /// until a tick or the response of a call lets the filter resume it. Must run on the thread that enters the chain's VMs.
    ///
    /// # Errors
    ///
    /// As [`Pump::poll_item`]. After [`Abort::Stopped`] the state may hold the answer of a filter
    /// ([`OpenStream::take_reply`]).
    pub async fn pass_whole(&self, direction: Direction, body: Bytes) -> Result<Bytes, Abort> {
        let plans: Vec<_> = match direction {
            Direction::Request => self.chain().request_plans().collect(),
            Direction::Response => self.chain().response_plans().collect(),
        };
        let calls = ChainCalls::new(Arc::clone(self.chain()), self.state().clone());
        let source = LocalSource::new(body);
        let mut pump = Pump::new(direction, plans, source, calls, self.state().clone());
        let mut passed = BytesMut::new();
        loop {
            match poll_fn(|cx| pump.poll_item(cx)).await? {
                Item::Head { end_of_stream: false } => {}
                Item::Data(mut pieces, end_of_stream) => {
                    while let Some(piece) = pieces.pop() {
                        passed.extend_from_slice(&piece);
                    }
                    if end_of_stream {
                        return Ok(passed.freeze());
                    }
                }
                Item::Head { end_of_stream: true } | Item::Trailers | Item::End => {
                    return Ok(passed.freeze());
                }
            }
        }
    }
}

impl<F: Facts> OpenStream<HttpMessages<F>> {
    /// Begins the stream of a request that hyper's server received on a connection of this scheme. The fields of that
    /// connection go: they are no part of the message.
    pub fn receive(
        chain: Arc<Chain>,
        mut parts: http::request::Parts,
        scheme: Scheme,
        facts: F,
        meters: &Meters,
    ) -> Self {
        fields::strip_hop_by_hop(&mut parts.headers);
        let head = RequestHead::from_parts(parts, scheme);
        Self::begin(chain, HttpMessages::new(head, facts), meters)
    }

    /// Makes the request as the filters left it, with the body that came through them: `content-length` is that of the body,
    /// and `host` is the `:authority`. The head stays readable for filters, so it is copied.
    pub fn request(&self, body: Bytes) -> Request<Bytes> {
        let head = self.state().borrow().messages.request.clone();
        let mut lines = head.fields;
        if !body.is_empty() || lines.contains_key(header::CONTENT_LENGTH) {
            lines.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        match HeaderValue::from_maybe_shared(head.authority) {
            Ok(host) if !host.is_empty() => {
                lines.insert(header::HOST, host);
            }
            _ => {
                fields::remove(&mut lines, &header::HOST);
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.path.sent().clone().into();
        *request.headers_mut() = lines;
        request
    }

    /// Puts the head of the application's or an upstream's response into the state without the fields of its connection, and
    /// returns its body.
    pub fn respond<B>(&self, response: Response<B>) -> B {
        let (mut parts, body) = response.into_parts();
        fields::strip_hop_by_hop(&mut parts.headers);
        self.state().borrow_mut().messages.response = Some(ResponseHead {
            status: parts.status,
            fields: parts.headers,
        });
        body
    }

    /// Makes the response as the filters left it, with the body that came through them, and without `content-length`: the
    /// server that sends it writes the length of the body. `None`: no message has become the response.
    pub fn response(&self, body: Bytes) -> Option<Response<Bytes>> {
        // Copied, for filters read the head until the end of the stream.
        let head = self.state().borrow().messages.response.clone()?;
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (head.status, head.fields);
        fields::remove(response.headers_mut(), &header::CONTENT_LENGTH);
        Some(response)
    }

    /// Makes the answer that a filter or a fail policy left in the state the response, and returns its body. `None`: there
    /// is no answer, the stream is to be reset. Called after a message has stopped ([`Abort::Stopped`]).
    pub fn take_reply(&self) -> Option<Bytes> {
        let mut state = self.state().borrow_mut();
        let reply = state.take_reply()?;
        let request = &state.messages.request;
        let (head, body) = local_reply::render(reply, &request.fields, &request.method);
        state.messages.response = Some(head);
        Some(body)
    }
}
