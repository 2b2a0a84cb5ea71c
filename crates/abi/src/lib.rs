//! The Proxy-Wasm ABI as data: versions, statuses, imports, exports, the pairs codec and limits.
#![forbid(unsafe_code)]

mod enums;
mod exports;
mod imports;
pub mod limits;
pub mod pairs;
pub mod property_path;
mod signature;
mod version;
mod wasi;

pub use enums::{BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType};
pub use exports::{ALLOCATORS, Callback, INITIALIZE, MAINS, MEMORY, START};
pub use imports::{ALTERNATES, ENV, IMPORTS, Import, ImportKind};
pub use signature::{Signature, ValType};
pub use version::AbiVersion;
pub use wasi::{Errno, WASI, WASI_MODULES, WasiFunction};
