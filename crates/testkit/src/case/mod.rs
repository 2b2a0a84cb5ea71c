//! Conformance cases: a guest, and in the comment at its head what to send and what must come back.
//!
//! A case is a file of `filters/conformance/examples`. The lines of its head that begin with `//!` are a description
//! and, after it, directives:
//!
//! | directive | meaning |
//! |---|---|
//! | `covers: NAME ...` | hostcalls, WASI functions and callbacks that the case is about; `NAME/0.1.0` is a callback's old
//! shape |
//! | `needs: ABILITY, ...` | skipped on engines without |
//! | `proxies: NAME ...` | only in these proxies, `embedded` or `ats`; all unless given |
//! | `lacks: ABILITY` | the proxy has not what the case needs: it is skipped there |
//! | `load: remap` | in Traffic Server, as plugin of the remap rule and not of everything |
//! | `configuration: TEXT`, `vm-configuration: TEXT`, `vm-id: TEXT`, `plugin-root-id: TEXT` | of the filter; the `vm-id` is
//! the case's name unless given |
//! | `filter: KEY = JSON` | any other key of the filter; dots lead into maps |
//! | `then: ...` | what follows is about a further filter of the chain, the same module |
//! | `request: METHOD PATH [h2] [tls]` | a request; `PATH` is below `/c/CASE` |
//! | `send-header: NAME: VALUE`, `send-body: TEXT`, `send-chunk: TEXT`, `send-trailer: NAME: VALUE` | the rest of it |
//! | `skips: ABILITY` | the proxy has not what this request needs: it is left out there |
//! | `status: CODE`, `header: NAME: VALUE`, `no-header: NAME`, `body: LINE`, `trailer: NAME: VALUE`, `no-trailer: NAME`,
//! `header-or-trailer: NAME: VALUE` | what must come back |
//! | `connection: reset` | no whole response comes |
//! | `upstream: METHOD PATH`, `upstream: none` | what must arrive upstream; that of the request unless given |
//! | `upstream-header: NAME: VALUE`, `upstream-no-header: NAME`, `upstream-body: TEXT`, `upstream-trailer: NAME: VALUE`,
//! `upstream-no-trailer: NAME` | and what of it |
//! | `log: LEVEL: TEXT` | the proxy's log has a line of that level that holds the text; several, in this order |
//! | `no-log: TEXT` | it has no such line |
//!
//! `PROXY/DIRECTIVE` is for one proxy only, such as `ats/lacks: trailers`. Before `request` that holds for all that is said
//! of the request.
//!
//! `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH` stand for bytes.

mod config;
mod coverage;
mod escape;
mod expect;
mod parse;
mod run;

use serde_json::Value;

use crate::client::{Outcome, Request};

pub use coverage::{Coverage, Verdict};
pub use parse::ParseError;
pub use run::Stage;

/// A proxy that cases run through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proxy {
    /// `weir serve`.
    Embedded,
    /// Traffic Server with the plugin.
    Ats,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of its file, without extension.
    pub name: String,
    /// First paragraph of its head.
    pub description: String,
    /// The hostcalls and callbacks that the case covers.
    pub covers: Vec<String>,
    /// Abilities without which it is skipped.
    pub needs: Vec<String>,
    /// Proxies that it is for; empty means all.
    pub proxies: Vec<Proxy>,
    /// The abilities that the proxy lacks for it.
    pub lacks: Option<String>,
    /// Mounted at the remap rule, where there is one.
    pub remap: bool,
    /// The chain of filters; at least one.
    pub filters: Vec<Filter>,
    /// The requests, in order.
    pub exchanges: Vec<Exchange>,
    /// Log lines that must come, in order: level and text.
    pub logs: Vec<(String, String)>,
    /// Texts that no log line may hold.
    pub no_logs: Vec<String>,
}

/// A filter of a case's chain.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Plugin configuration.
    pub configuration: Option<String>,
    /// VM configuration.
    pub vm_configuration: Option<String>,
    /// Scope of shared data.
    pub vm_id: Option<String>,
    /// Root id.
    pub root_id: Option<String>,
    /// Other keys: path and value.
    pub keys: Vec<(String, Value)>,
}

/// A request and what must come of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request; its path is below the case's.
    pub request: Request,
    /// Over HTTP/2.
    pub http2: bool,
    /// Over TLS.
    pub tls: bool,
    /// The abilities that the proxy lacks for it.
    pub skips: Option<String>,
    /// The response that must come back.
    pub expect: Expect,
    /// The request that must arrive upstream.
    pub upstream: Upstream,
}

/// The response that must come back.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    pub(crate) reset: bool,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) no_headers: Vec<String>,
    pub(crate) anywhere: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    pub(crate) no_trailers: Vec<String>,
}

/// The request that must arrive upstream.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    pub(crate) none: bool,
    pub(crate) request: Option<(String, String)>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) no_headers: Vec<String>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    pub(crate) no_trailers: Vec<String>,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Ats];

    /// Its name in cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Ats => "ats",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proxy| proxy.name() == name)
    }
}

impl Upstream {
    /// True if the case expects the origin to receive a request.
    pub(crate) fn some(&self) -> bool {
        self.request.is_some()
            || self.body.is_some()
            || ![&self.headers, &self.trailers]
                .iter()
                .all(|fields| fields.is_empty())
            || ![&self.no_headers, &self.no_trailers]
                .iter()
                .all(|names| names.is_empty())
    }
}

impl Case {
    /// Reads the cases of `filters/conformance/examples` as they are for a proxy, by name.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a directive of it not be understood.
    pub fn all(proxy: Proxy) -> anyhow::Result<Vec<Self>> {
        parse::folder(&crate::repository().join("filters/conformance/examples"), proxy)
    }

    /// Returns true if the case is for a proxy, which may still lack something.
    pub fn is_for(&self, proxy: Proxy) -> bool {
        self.proxies.is_empty() || self.proxies.contains(&proxy)
    }

    /// The path of the case.
    pub fn path(&self) -> String {
        format!("/c/{}", self.name)
    }

    /// The abilities that the proxy lacks for some of the case's requests.
    pub fn skips(&self) -> Vec<&str> {
        let mut skips: Vec<&str> = self
            .exchanges
            .iter()
            .filter_map(|exchange| exchange.skips.as_deref())
            .collect();
        skips.sort_unstable();
        skips.dedup();
        skips
    }

    /// The first ability in `needs` that is not among `abilities`.
    pub fn lacking(&self, abilities: &[&str]) -> Option<&str> {
        self.needs
            .iter()
            .map(String::as_str)
            .find(|need| !abilities.contains(need))
    }
}

impl Expect {
    fn compare(&self, outcome: &Outcome) -> anyhow::Result<()> {
        expect::response(self, outcome)
    }
}
