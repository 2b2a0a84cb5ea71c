//! The Proxy-Wasm ABI as data: versions, statuses, imports, exports, the pairs codec and limits.
#![forbid(unsafe_code)]

mod enums;
mod signature;

pub use enums::{BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType};
pub use signature::{Signature, ValType};
