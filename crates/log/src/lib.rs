//! Logs that never hold up who writes them.
//!
//! Lines go into a bounded buffer; a thread of the log's own writes them out. A reader that does not read, is gone, or a
//! disk that is full costs lines, which are counted ([`lost_lines`]) and, once lines get through again, summed up in one
//! warning. Nothing here panics or blocks, except [`LogWriter::flush`] and [`LogWriter::finish`], for a bounded
//! time.
#![forbid(unsafe_code)]

mod escape;
mod sink;
mod target;
mod writer;

pub use escape::{LineFormat, escape_controls};
pub use sink::{Sink, Unwritten};
pub use target::LogTarget;
pub use writer::{LogWriter, lost_lines};
