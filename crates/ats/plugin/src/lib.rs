//! `wasm.so`: Proxy-Wasm modules in Apache Traffic Server, as a global plugin and in remap rules.
//!
//! The entry points of the server are here and in [`entry`]; everything below belongs to one of three parts: what is
//! loaded ([`control`], [`reload`]), the threads that VMs belong to ([`hub`], [`net_thread`]), and transactions ([`txn`]). How
//! actions of filters move a message is `weir-chain`'s; the life of VMs is `weir-supervisor`'s.

mod admin;
mod arguments;
mod control;
mod entry;
mod foreign;
mod guard;
mod hub;
mod instances;
mod log;
mod mark;
mod namesakes;
mod net_thread;
mod plugin;
mod process;
mod property;
mod reload;
mod runtime_options;
mod stats;
mod thread_chain;
mod tls;
mod txn;
