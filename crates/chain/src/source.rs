//! Where a message comes from, and the pieces in which it comes.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::pieces::Pieces;

/// One piece of a message.
#[derive(Debug)]
pub enum Item {
    /// The head has come through; it lies in the stream's state.
    Head {
        /// Nothing follows.
        end_of_stream: bool,
    },
    /// Bytes of the body; empty only to say that the body ends.
    Data(Pieces, bool),
    /// The trailers have come through; they lie in the stream's state. Nothing follows.
    Trailers,
    /// Nothing follows that has not been said before.
    End,
}

/// The beginning of a chain.
pub trait Source {
    /// The next piece. The head comes first and at once.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>>;

    /// Whether asking for more costs the sender nothing that it may not want to give: a client that waits for
    /// `100 Continue` is not asked while a filter still ponders.
    fn may_read_ahead(&self) -> bool {
        true
    }

    /// Length of the whole body as the sender announced it.
    fn announced_length(&self) -> Option<u64>;
}

/// The sender broke off.
#[derive(Debug)]
pub struct SourceError(pub Box<dyn std::error::Error + Send + Sync>);

/// A message that the proxy made.
pub struct LocalSource {
    body: Option<Bytes>,
    length: u64,
    head_given: bool,
}

impl LocalSource {
    /// An empty body makes a message without one.
    pub fn new(body: Bytes) -> Self {
        Self {
            length: body.len() as u64,
            body: (!body.is_empty()).then_some(body),
            head_given: false,
        }
    }
}

impl Source for LocalSource {
    fn poll_item(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>> {
        if !self.head_given {
            self.head_given = true;
            return Poll::Ready(Ok(Item::Head {
                end_of_stream: self.body.is_none(),
            }));
        }
        Poll::Ready(Ok(match self.body.take() {
            Some(body) => Item::Data(body.into(), true),
            None => Item::End,
        }))
    }

    fn announced_length(&self) -> Option<u64> {
        Some(self.length)
    }
}
