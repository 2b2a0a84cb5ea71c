//! A message on its way through a chain of filters: what actions mean, what is held, replies, resets.
//!
//! There is no task per stream and no channel between filters: whoever wants the next piece of a message (the connection
//! to the upstream, the connection to the client) polls the last stage of a [`Pump`], which polls the one before it, down
//! to the [`Source`]. Not polling is back-pressure; pausing is not being ready.
//!
//! A proxy brings what differs between proxies: how it keeps messages ([`Messages`]; [`HttpMessages`] keeps types of the
//! `http` crate), and where messages come from
//! ([`Source`]). VMs are found in slots ([`VmSlot`](weir_host::VmSlot)), which a supervisor fills. Everything else about a stream lies in its
//! [`StreamState`], shared by the pumps that move it and the [`StreamHandle`]s that its filters' VMs hold.
#![forbid(unsafe_code)]

mod certificate;
mod chunked;
mod filters;
mod handle;
mod head;
mod http_messages;
pub mod local_reply;
mod messages;
mod notes;
mod open;
mod pass;
mod pieces;
mod pump;
mod source;
mod stage;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod whole;

pub use certificate::certificate_field;
pub use chunked::{Dechunker, MalformedChunk};
pub use filters::{Chain, ChainCalls, ChainFilter, LentCalls};
pub use handle::StreamHandle;
pub use head::{FieldLines, RequestHead, ResponseHead, parse_authority};
pub use http_messages::{Facts, HttpMessages};
pub use messages::Messages;
pub use notes::Notes;
pub use open::OpenStream;
pub use pass::Passed;
pub use pieces::Pieces;
pub use pump::{Abort, FilterCalls, Interest, Length, Pump, StagePlan};
pub use source::{Item, LocalSource, Source, SourceError};
pub use state::{Direction, FilterState, Reply, SharedState, Side, StreamState};
