//! Why a proxy cannot start, or keeps the configuration that it has.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use weir_config::ConfigError;
use weir_plan::{PlanError, Refusal};

use crate::tls::TlsError;

/// Why a proxy cannot start, or why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A runtime or an upstream cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A listener's TLS cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Filters were refused at a reload.
    #[error("{}", lines(.0))]
    Refused(Vec<Refusal>),
    /// Filters were refused at a start that is strict.
    #[error("{}\n`start: lenient` serves all the same, by the fail policies of the filters", lines(.0))]
    NotStarted(Vec<Refusal>),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("access log {}: {source}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives us no thread, no runtime or no signals.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// VMs that had passed their trials could not be started for workers.
    #[error("{}", lines(.0))]
    Vms(Vec<weir_host::StartError>),
    /// A worker has ended.
    #[error("a worker thread has ended")]
    WorkerGone,
}

fn lines(reasons: &[impl ToString]) -> String {
    reasons
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
