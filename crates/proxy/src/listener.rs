//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use weir_config::Trailers;

use crate::error::ProxyError;
use crate::tls::ServerTls;

/// Connections that wait to be accepted, per socket. Linux cuts it down to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// What holds for the connections of a listener.
#[derive(Clone, Default)]
pub(crate) struct ListenerRules {
    /// TLS; `None` is plain text.
    pub tls: Option<Arc<ServerTls>>,
    /// The fate of the trailers of clients.
    pub trailers: Trailers,
}

/// Sockets on one address, among which the kernel spreads connections. They hold the address, and refuse connections until
/// [`Bound::listen`].
pub(crate) struct Bound {
    address: SocketAddr,
    sockets: Vec<Socket>,
}

impl Bound {
    /// Binds `count` sockets. Port 0 becomes the same port for all of them.
    pub fn new(configured: SocketAddr, count: usize) -> Result<Self, ProxyError> {
        bind(configured, count).map_err(|source| ProxyError::Bind {
            address: configured,
            source,
        })
    }

    /// The address, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections from now on.
    pub fn listen(self) -> Result<Vec<TcpListener>, ProxyError> {
        let address = self.address;
        let listen = |socket: Socket| {
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let sockets: io::Result<_> = self.sockets.into_iter().map(listen).collect();
        sockets.map_err(|source| ProxyError::Bind { address, source })
    }
}

fn bind(configured: SocketAddr, count: usize) -> io::Result<Bound> {
    if configured.port() != 0 {
        // Sockets that share a port do not notice another process that shares it too. A plain one does.
        drop(open(configured, false)?);
    }
    let mut sockets = Vec::with_capacity(count);
    let mut address = configured;
    for _ in 0..count {
        let socket = open(address, true)?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        sockets.push(socket);
    }
    Ok(Bound { address, sockets })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses; who wants both says so.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_share_a_port_that_nobody_else_gets() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = bound.address();
        let sockets = bound.listen().unwrap();
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == address)
        );
        assert_eq!(bind(address, 1).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert!(bind(address, 1).is_ok());
    }

    #[test]
    fn connections_are_refused_until_somebody_listens() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = bound.address();
        let refused = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _sockets = bound.listen().unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok());
    }
}
