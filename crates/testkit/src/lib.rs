//! Real origin, real proxies and guests built from source, for the tests.
//!
//! Everything here blocks: a test reads from the top down, and what waits, waits with a bound.
#![forbid(unsafe_code)]

mod ats;
pub mod case;
pub mod client;
pub mod config;
mod guests;
mod logs;
mod origin;
mod paths;
mod ports;
mod rounds;
mod tls;
mod usable;
mod weir;

pub use ats::{Ats, AtsConfig, Mode};
pub use guests::Guests;
pub use logs::{LogLine, Logs};
pub use origin::{Origin, RawOrigin, Record};
pub use paths::{code_cache, compiler, repository, weir_binary};
pub use ports::{blackhole, refused_port};
pub use rounds::random_rounds;
pub use tls::{Authority, Identity};
pub use usable::{quick_runtimes, usable_runtimes};
pub use weir::Weir;

/// The longest that anything which must happen may take before a test fails. Far more than it needs, so that a busy machine
/// fails no test; nothing is asserted on it otherwise.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
