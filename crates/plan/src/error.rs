//! Errors of one filter, and of all of them.

use std::fmt;

use weir_config::{CodeSource, ConfigError};
use weir_outbound::UpstreamError;

/// A filter that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The filter's name.
    pub filter: String,
    /// The source of the module; `None` where the filter stands in for a document that could not be read.
    pub module: Option<CodeSource>,
    /// The reason; [`Refusal`] is displayed with the module before it.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(module) = &self.module {
            write!(f, "{module}: ")?;
        }
        write!(f, "filter {}: {}", self.filter, self.reason)
    }
}

/// Filters that cannot be planned at all, whatever becomes of each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A filter's runtime is not built in.
    #[error(transparent)]
    Runtime(#[from] ConfigError),
    /// An upstream's certificates.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}
