//! Messages whose body a proxy has whole: for proxies that collect bodies before they show them to filters.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::filters::{Chain, ChainCalls};
use crate::local_reply;
use crate::messages::Messages;
use crate::pump::{Abort, Pump};
use crate::source::{Item, LocalSource};
use crate::state::{Direction, SharedState};
use crate::{Facts, HttpMessages};

/// Passes a message with its whole body through the filters of one direction, and returns the body that they made of it.
/// The message's head lies in the state before and after. The future waits for as long as a filter holds the message: until
/// a tick or the response of a call lets the filter resume it. Must run on the thread that enters the chain's VMs.
///
/// # Errors
///
/// As [`Pump::poll_item`]. After [`Abort::Stopped`] the state may hold the answer of a filter ([`take_reply`]).
pub async fn pass_whole<M: Messages>(
    direction: Direction,
    chain: &Arc<Chain>,
    state: &SharedState<M>,
    body: Bytes,
) -> Result<Bytes, Abort> {
    let plans: Vec<_> = match direction {
        Direction::Request => chain.request_plans().collect(),
        Direction::Response => chain.response_plans().collect(),
    };
    let calls = ChainCalls::new(Arc::clone(chain), state.clone());
    let mut pump = Pump::new(direction, plans, LocalSource::new(body), calls, state.clone());
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
            Item::Head { end_of_stream: true } | Item::Trailers | Item::End => return Ok(passed.freeze()),
        }
    }
}

/// Makes the answer that a filter or a fail policy left in the state the response, and returns its body. `None`: there is no
/// answer, the stream is to be reset. Called after a message has stopped ([`Abort::Stopped`]).
pub fn take_reply<F: Facts>(state: &SharedState<HttpMessages<F>>) -> Option<Bytes> {
    let mut state = state.borrow_mut();
    let reply = state.take_reply()?;
    let request = &state.messages.request;
    let (head, body) = local_reply::render(reply, &request.fields, &request.method);
    state.messages.response = Some(head);
    Some(body)
}
