//! The admin pages of both proxies: `/metrics`, `/healthz`, `/readyz`.
//!
//! A proxy makes a [`Readiness`] and, where an address is configured, starts an [`AdminServer`] before it starts its VMs;
//! it calls [`Readiness::started`] once the VMs of the first configuration run. The server answers on a thread of its own,
//! and pages are rendered on a second one, so that neither requests nor events of VMs wait for a page. The pages are
//! read-only.
#![forbid(unsafe_code)]

mod accept;
mod guests;
mod names;
mod page;
mod process;
mod readiness;
mod server;
mod writer;

pub use page::{MAX_PAGE, render};
pub use readiness::Readiness;
pub use server::AdminServer;
pub use writer::Format;
