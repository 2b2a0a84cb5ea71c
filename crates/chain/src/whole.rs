//! Messages whose body a proxy has whole: for proxies that collect bodies before they show them to filters.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::filters::ChainCalls;
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
