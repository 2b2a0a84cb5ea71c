//! The embedded proxy: listeners, filter chain, body pump, reload.
//!
//! A [`Proxy`] has worker threads, each with its own sockets, VMs and connections. A request passes the filters of its
//! route in order (`weir_chain`), goes to its upstream, and the response passes them in reverse; `exchange` is where that
//! is written down from beginning to end.
#![forbid(unsafe_code)]

mod accept;
mod access_log;
mod admin;
mod bodies;
mod build;
mod check;
mod config_source;
mod connection;
mod connection_limit;
mod control;
mod echo;
mod error;
mod exchange;
mod filters;
mod forward;
mod ingest;
mod length;
mod listener;
mod max_forwards;
mod proxy;
mod revision;
mod rounds;
mod routes;
mod run;
mod source;
mod stream;
mod target_io;
#[cfg(test)]
mod testing;
mod tls;
mod upgrade;
mod watched_io;
mod worker;

pub use check::{Report, check, check_filters};
pub use config_source::ConfigSource;
pub use error::ProxyError;
pub use proxy::{Proxy, ProxyHandle};
pub use run::Signals;
pub use tls::TlsError;
pub use weir_outbound::UpstreamError;
pub use weir_plan::{PlanError, Refusal, RuntimeSource, Runtimes};
