//! The Proxy-Wasm ABI as data: versions, statuses, exports, the pairs codec, calls, limits, and the choices that a
//! configuration makes for a filter. Facts that several crates share stand here once.
#![forbid(unsafe_code)]

mod call;
mod context;
mod enums;
mod exports;
pub mod limits;
pub mod log_target;
pub mod pairs;
mod policy;
pub mod property_path;
mod signature;
mod version;
mod wasi;

pub use call::{CallFailure, GrpcCall, HttpCall, HttpCallResponse, Pairs};
pub use context::ContextId;
pub use enums::{BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType};
pub use exports::{ALLOCATORS, Callback, INITIALIZE, MAINS, MEMORY, START};
pub use limits::VmLimits;
pub use policy::{FailPolicy, HttpCallFailure, WarmUp};
pub use signature::{Signature, ValType};
pub use version::AbiVersion;
pub use wasi::Errno;
