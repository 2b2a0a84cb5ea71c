//! YAML to typed configuration, one schema for both proxies.
//!
//! [`FilterConfig::load`] reads the document of the Traffic Server plugin (a `config:` block), [`ProxyConfig::load`] the
//! one of `weir serve`, whose filters are such blocks. [`ProcessConfig::load`] reads the keys of the process alone, which
//! `weir serve`'s document has too. All give plain structs in which every name is resolved, every
//! path absolute and every default filled in, or a [`ConfigError`] that says for each problem the file, the line, the
//! key and what was expected.
#![forbid(unsafe_code)]

mod environment;
mod error;
mod load;
mod read;
mod types;
mod yaml;

pub use environment::Environment;
pub use error::{ConfigError, Location, Problem};
pub use load::{FilterDocuments, read_text};
pub use types::*;
