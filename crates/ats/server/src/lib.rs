//! A Traffic Server of one's own, in a private directory on 127.0.0.1: for tests, demos and measurements.
//!
//! ```no_run
//! use weir_ats_server::{AtsServer, Settings};
//!
//! # fn main() -> anyhow::Result<()> {
//! let settings = Settings::new()
//!     .plugin("header_rewrite.so rules.conf")
//!     .file("rules.conf", "cond %{SEND_RESPONSE_HDR_HOOK}\nset-header x-seen 1\n")
//!     .origin("127.0.0.1:9000".parse()?);
//! let server = AtsServer::start(&settings)?;
//! println!("http://{}/", server.http());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod files;
mod follow;
mod install;
mod plugin;
mod ports;
mod process;
mod records;
mod server;
mod settings;
mod watchdog;

pub use follow::Follow;
pub use install::{Installation, Version};
pub use plugin::plugin_library;
pub use ports::free_port;
pub use records::RecordValue;
pub use server::AtsServer;
pub use settings::Settings;
pub use watchdog::Watchdog;
