//! Moving a message through a chain of filters, pulled from its consumer.
//!
//! There is no task per stream and no channel between filters: whoever wants the next piece of a message (the connection
//! to the upstream, the connection to the client) polls the last stage, which polls the one before it, down to the
//! body as it comes off the network. Not polling is back-pressure; pausing is not being ready.

mod chain;
mod length;
mod source;
mod stage;

pub(crate) use chain::{Abort, FilterCalls, Interest, Pump, StagePlan, VmGone};
pub(crate) use length::{Length, poll_response_length, settle_request_length};
pub(crate) use source::{IncomingSource, LocalSource, Source, SourceError};

use crate::stream::body::Pieces;

/// One piece of a message.
#[derive(Debug)]
pub(crate) enum Item {
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

#[cfg(test)]
mod tests;
