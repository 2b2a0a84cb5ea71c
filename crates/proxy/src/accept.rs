//! Accepting connections on one socket of one worker.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::connection;
use crate::listener::ListenerRules;
use crate::worker::Worker;

/// A pause after the system could not give us a connection (no file descriptors left, most likely): trying again at once
/// would only burn the CPU that frees some.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that is being accepted from, until this is dropped.
pub(crate) struct Accepting {
    /// The address of the listener.
    pub address: SocketAddr,
    /// The rules of new connections.
    pub rules: Rc<RefCell<ListenerRules>>,
    task: AbortHandle,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to accept.
pub(crate) fn start(worker: &Rc<Worker>, socket: TcpListener, rules: ListenerRules) -> io::Result<Accepting> {
    let address = socket.local_addr()?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let rules = Rc::new(RefCell::new(rules));
    let task = tokio::task::spawn_local(accept(Rc::clone(worker), socket, Rc::clone(&rules))).abort_handle();
    Ok(Accepting { address, rules, task })
}

async fn accept(worker: Rc<Worker>, socket: tokio::net::TcpListener, rules: Rc<RefCell<ListenerRules>>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => match worker.connection_limit.admit() {
                Some(admitted) => {
                    let rules = rules.borrow().clone();
                    tokio::task::spawn_local(connection::serve(Rc::clone(&worker), stream, rules, admitted));
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
