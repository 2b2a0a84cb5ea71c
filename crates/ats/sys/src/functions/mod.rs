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

use crate::table::Slot;

/// The slots that the files declare.
pub(crate) static SLOTS: &[&[Slot]] = &[
    cache::SLOTS,
    cont::SLOTS,
    hook::SLOTS,
    io::SLOTS,
    message::SLOTS,
    mime::SLOTS,
    net::SLOTS,
    process::SLOTS,
    ssn::SLOTS,
    stat::SLOTS,
    txn::SLOTS,
    txn_peer::SLOTS,
    url::SLOTS,
];
