//! Functions of the server, a file for each topic.

mod cache;
mod cont;
mod hook;
mod io;
mod message;
mod mime;
mod net;
pub(crate) mod process;
mod ssn;
mod stat;
mod txn;
mod txn_peer;
mod url;

pub use cache::*;
pub use cont::*;
pub use hook::*;
pub use io::*;
pub use message::*;
pub use mime::*;
pub use net::*;
pub use process::*;
pub use ssn::*;
pub use stat::*;
pub use txn::*;
pub use txn_peer::*;
pub use url::*;

use crate::table::Entry;

/// The entries that the files declare.
pub(crate) static ENTRIES: &[&[Entry]] = &[
    cache::ENTRIES,
    cont::ENTRIES,
    hook::ENTRIES,
    io::ENTRIES,
    message::ENTRIES,
    mime::ENTRIES,
    net::ENTRIES,
    process::ENTRIES,
    ssn::ENTRIES,
    stat::ENTRIES,
    txn::ENTRIES,
    txn_peer::ENTRIES,
    url::ENTRIES,
];
