//! Sources of messages, and the pieces in which messages come.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::pieces::Pieces;

/// One piece of a message.
#[derive(Debug)]
pub enum Item {
    /// The head has passed all filters; it lies in the stream's messages.
    Head {
        /// True if neither body nor trailers follow.
        end_of_stream: bool,
    },
    /// Bytes of the body, and true if nothing follows. Empty only at the end of a body.
    Data(Pieces, bool),
    /// The trailers have passed all filters; they lie in the stream's messages. Nothing follows.
    Trailers,
    /// The message has ended before.
    End,
}

/// The sender of a message, as the pump reads it. A proxy implements it over its client's and its upstream's bodies.
pub trait Source {
    /// Polls the next piece. The head comes first, and is ready at once.
    ///
    /// # Errors
    ///
    /// The sender broke off. The pump polls no more.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>>;

    /// Returns true if the pump may read ahead while a filter holds the head. A client that waits for `100 Continue` sends
    /// its body only once the filters have let the head pass.
    fn may_read_ahead(&self) -> bool {
        true
    }

    /// Returns the length of the whole body in bytes, if the sender announced it.
    fn announced_length(&self) -> Option<u64>;
}

/// The sender broke off.
#[derive(Debug)]
pub struct SourceError(pub Box<dyn std::error::Error + Send + Sync>);

/// A message whose body is in memory, such as one that the proxy made.
pub struct LocalSource {
    body: Option<Bytes>,
    length: u64,
    head_given: bool,
}

impl LocalSource {
    /// Makes the source of a message with this body; an empty one makes a message without a body.
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
