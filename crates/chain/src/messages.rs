//! The part of a stream that differs between proxies: its messages and the facts about it.

use weir_abi::MapType;
use weir_host::{Edit, Fact, FactValue, HeaderEdit, Lookup};

use crate::state::Direction;

/// The heads, trailers and facts of one stream, as a proxy keeps them.
///
/// Asked from inside hostcalls, with the stream's state borrowed: an answer is quick and calls into no VM. Which maps are
/// there, and what can still be changed, has been decided by [`StreamHandle`](crate::StreamHandle); only the four maps of
/// streams are asked for.
pub trait Messages: Send + Sync + 'static {
    /// Number of field lines of a direction's head, pseudo-headers included; 0 where there is none (yet).
    fn head_count(&self, direction: Direction) -> usize;

    /// Number of trailer lines. `None`: there are no trailers (so far).
    fn trailers_count(&self, direction: Direction) -> Option<usize>;

    /// Appends the value of the first field line called `name` to `out`.
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup;

    /// Calls `visit` with each field line in order, pseudo-headers first.
    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup;

    /// Changes a map; [`Edit::Absent`] where there is none. `may_add`: trailers that do not exist may be made.
    fn edit(&mut self, map: MapType, edit: HeaderEdit<'_>, may_add: bool) -> Edit;

    /// Answers [`weir_host::Stream::fact`].
    fn fact(&self, fact: Fact) -> Option<FactValue>;

    /// Answers [`weir_host::Stream::custom_property`].
    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (path, out);
        false
    }

    /// The sender of a direction broke off; the stream is about to be reset for it.
    fn source_failed(&mut self, direction: Direction);
}
