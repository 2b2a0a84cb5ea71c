//! Bindings to the Traffic Server plugin API that serve 9.2 and 10.x from one binary.
//!
//! A library that links this crate has no undefined `TS*` symbol. [`load`] looks every function up in the running
//! server, by its C name (9.2) or its mangled C++ name (10.x), and fills a table; the functions here are calls through
//! that table and keep the names of `ts/ts.h`. Call [`load`] first in `TSPluginInit` and `TSRemapInit`: a function that
//! is called before ends the process with a message.
//!
//! A function that some supported server lacks is an [`Optional`]: `if let Some(call) = TSHttpTxnTypeGet.get()`.
//! Numbers that differ between the servers are behind [`Hook`] and [`hook`]; all others are constants with the names of
//! the C headers.
#![allow(
    non_snake_case,
    non_camel_case_types,
    non_upper_case_globals,
    reason = "the names are those of ts/ts.h, so that its documentation can be searched for them"
)]

#[macro_use]
mod macros;

mod debug;
mod functions;
mod ids;
mod load;
mod log;
mod memory;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod version;

pub use debug::{DebugTag, debug_enabled};
pub use functions::*;
pub use ids::*;
pub use load::{LoadError, is_loaded, load, version};
pub use log::*;
pub use memory::*;
pub use table::Optional;
pub use types::*;
pub use version::{Line, Version};
