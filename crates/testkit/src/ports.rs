//! Addresses where nobody answers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;

/// An address of this machine where connecting is refused.
pub fn refused_port() -> SocketAddr {
    // Port 1 belongs to a service that nobody runs, and unlike a free port nobody else is given it.
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1))
}

/// An address where connecting works and nothing is ever answered, for as long as the listener lives.
///
/// # Errors
///
/// No port is free.
pub fn blackhole() -> Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}
