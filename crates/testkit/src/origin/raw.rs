//! An origin that says exactly the bytes that a test wants.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

use crate::PATIENCE;

/// A listener that gives each connection to a function, on a thread of its own. Lives as long as the test's process.
pub struct RawOrigin {
    address: SocketAddr,
}

impl RawOrigin {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let connection = Arc::new(connection);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = Arc::clone(&connection);
                // A connection without a bound would keep a failed test waiting.
                let _ = stream.set_read_timeout(Some(PATIENCE));
                thread::spawn(move || connection(stream));
            }
        });
        Ok(Self { address })
    }

    /// The address of the origin.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
