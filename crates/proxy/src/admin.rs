//! The admin pages of the proxy.

use std::net::{SocketAddr, TcpListener};

use weir_admin::{AdminServer, Readiness};
use weir_host::Shared;

use crate::error::ProxyError;

/// Serves the admin pages on an address, where one is configured.
pub(crate) fn start(
    address: Option<SocketAddr>,
    shared: &Shared,
    readiness: &Readiness,
) -> Result<Option<AdminServer>, ProxyError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).map_err(|source| ProxyError::Bind { address, source })?;
    let server = AdminServer::start(listener, shared.clone(), readiness.clone())?;
    tracing::info!(address = %server.address(), "serving the admin pages");
    Ok(Some(server))
}
