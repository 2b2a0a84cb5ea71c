//! Trying a configuration without serving it.

use std::sync::Arc;

use weir_config::{FilterConfig, ProxyConfig};
use weir_host::{ForeignFunctions, Shared};
use weir_plan::{Refusal, Runtimes};

use crate::build::Builder;
use crate::error::ProxyError;
use crate::tls::ServerTls;

/// The outcome of trying a configuration.
#[derive(Debug, Default)]
pub struct Report {
    /// Filters that cannot be used.
    pub refused: Vec<Refusal>,
    /// Other things that are wrong.
    pub errors: Vec<ProxyError>,
}

impl Report {
    /// Returns true if nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.refused.is_empty() && self.errors.is_empty()
    }
}

/// Does all that a start does, short of listening: compiles the modules, starts and configures each VM once and throws it
/// away, reads certificates. Blocks.
pub fn check(config: &ProxyConfig, runtimes: &Runtimes) -> Report {
    let mut report = Report::default();
    match builder(runtimes).build(config) {
        Ok(built) => report.refused = built.refused,
        Err(error) => report.errors.push(error.into()),
    }
    for listener in &config.listeners {
        if let Some(Err(error)) = listener.tls.as_ref().map(ServerTls::load) {
            report.errors.push(error.into());
        }
    }
    report
}

/// As [`check`], for filters alone, such as a configuration of the Traffic Server plugin describes them.
pub fn check_filters(filters: &[Arc<FilterConfig>], runtimes: &Runtimes) -> Report {
    let mut report = Report::default();
    match builder(runtimes).try_filters(filters) {
        Ok(refused) => report.refused = refused,
        Err(error) => report.errors.push(error.into()),
    }
    report
}

fn builder(runtimes: &Runtimes) -> Builder {
    Builder::new(runtimes.clone(), Shared::new(ForeignFunctions::default()))
}
