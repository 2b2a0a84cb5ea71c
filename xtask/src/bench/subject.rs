//! A proxy that is being measured.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::wrk::Target;
use crate::sh;

/// The longest that a proxy may take to start; compiling modules is part of it.
const START: Duration = Duration::from_secs(60);

/// True if a filter runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The proxy alone.
    None,
    /// A filter that adds one request header and one response header.
    TwoHeaders,
}

impl Filter {
    /// Both.
    pub const ALL: [Self; 2] = [Self::None, Self::TwoHeaders];

    /// The module that both proxies run.
    pub fn module() -> PathBuf {
        sh::root().join("filters/target/wasm32-wasip1/release/header_rewrite.wasm")
    }

    fn label(self) -> &'static str {
        match self {
            Self::None => "no filter",
            Self::TwoHeaders => "filter",
        }
    }
}

/// A running proxy; it ends with this value.
pub struct Subject {
    proxy: &'static str,
    filter: Filter,
    workers: usize,
    address: SocketAddr,
    process: Child,
}

impl Subject {
    /// Starts `command` and waits until `address` accepts connections. What the proxy writes goes to a file in
    /// `target/bench`.
    pub fn start(
        proxy: &'static str,
        filter: Filter,
        workers: usize,
        address: SocketAddr,
        mut command: Command,
    ) -> Result<Self> {
        let log = folder()?.join(format!("{proxy}-{}.log", address.port()));
        let file = std::fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let process = command.spawn().with_context(|| format!("cannot start {proxy}"))?;
        let mut subject = Self {
            proxy,
            filter,
            workers,
            address,
            process,
        };
        subject.wait().with_context(|| format!("see {}", log.display()))?;
        Ok(subject)
    }

    /// The process that is loaded.
    pub fn target(&self) -> Target {
        let plural = if self.workers == 1 { "" } else { "s" };
        Target {
            label: format!(
                "{}, {} worker{plural}, {}",
                self.proxy,
                self.workers,
                self.filter.label()
            ),
            pid: self.process.id(),
            url: format!("http://{}/", self.address),
            script: None,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    // This program has no streams that a sleep could stall.
    #[allow(clippy::disallowed_methods)]
    fn wait(&mut self) -> Result<()> {
        let since = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended at once: {status}", self.proxy);
            }
            if since.elapsed() > START {
                bail!("{} does not listen on {}", self.proxy, self.address);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Nothing is left to do if it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of a run's configurations and logs.
pub fn folder() -> Result<PathBuf> {
    let folder = sh::target_dir().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// An address on which nobody listens at the moment.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
