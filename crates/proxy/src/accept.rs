//! Accepting connections on one socket of one worker.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::connection;
use crate::tls::ServerTls;
use crate::worker::Worker;

/// A pause after the system could not give us a connection (no file descriptors left, most likely): trying again at once
/// would only burn the CPU that frees some.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that is being accepted from, until this is dropped.
pub(crate) struct Accepting {
    /// The address of the listener.
    pub address: SocketAddr,
    /// TLS of new connections.
    pub tls: Rc<RefCell<Option<Arc<ServerTls>>>>,
    task: AbortHandle,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to accept.
pub(crate) fn start(
    worker: &Rc<Worker>,
    socket: TcpListener,
    tls: Option<Arc<ServerTls>>,
) -> io::Result<Accepting> {
    let address = socket.local_addr()?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let tls = Rc::new(RefCell::new(tls));
    let task = tokio::task::spawn_local(accept(Rc::clone(worker), socket, Rc::clone(&tls))).abort_handle();
    Ok(Accepting { address, tls, task })
}

async fn accept(
    worker: Rc<Worker>,
    socket: tokio::net::TcpListener,
    tls: Rc<RefCell<Option<Arc<ServerTls>>>>,
) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => match worker.connection_limit.admit() {
                Some(admitted) => {
                    let tls = tls.borrow().clone();
                    tokio::task::spawn_local(connection::serve(Rc::clone(&worker), stream, tls, admitted));
                }
                // Closed at once, which tells the client more than being left in the queue.
                None => drop(stream),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
