//! The types of a configuration that has been read: plain structs, everything resolved, defaults filled in.

mod filter;
mod process;
mod proxy;
mod route;
mod snapshot;
mod trailers;
mod upstream;

pub use filter::{CodeSource, FilterConfig, Runtime, Ticks, VmConfig};
pub use process::{CodeCacheFolder, CompilerConfig, ProcessConfig, WasmtimeOptions};
pub use proxy::{AccessLog, Limits, Listener, ListenerTls, ProxyConfig, Start, Timeouts};
pub use route::{HostPattern, RequestTarget, Route, RouteFilter, RouteMatch, RouteTarget, StaticResponse};
pub use snapshot::Snapshot;
pub use trailers::Trailers;
pub use upstream::{ClientIdentity, Endpoint, HeadLimits, Protocol, Upstream, UpstreamTls};
pub use weir_abi::{FailPolicy, HttpCallFailure, VmLimits, WarmUp};

/// A document of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// Of `weir serve`.
    Proxy(Box<ProxyConfig>),
    /// Of the Traffic Server plugin.
    Filter(Box<FilterConfig>),
}
