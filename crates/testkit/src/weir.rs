//! The real proxy, as a process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{LogLine, Logs, PATIENCE, code_cache, weir_binary};

/// A running `weir serve`. Killed when dropped.
pub struct Weir {
    child: Child,
    folder: TempDir,
    addresses: Vec<SocketAddr>,
    logs: Arc<Logs>,
    access: Arc<Logs>,
}

impl Weir {
    /// Starts the proxy with a configuration and waits until it listens. Listeners should have port 0.
    ///
    /// # Errors
    ///
    /// The binary is missing, or the proxy ended instead of listening; what it wrote is in the message.
    pub fn start(config: &Value) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, config)
    }

    /// As [`Weir::start`], with a folder that holds files which the configuration names.
    ///
    /// # Errors
    ///
    /// As for [`Weir::start`].
    pub fn start_in(folder: TempDir, config: &Value) -> Result<Self> {
        write_config(folder.path(), config)?;
        let (child, logs, access) = spawn(folder.path())?;
        let mut weir = Self {
            child,
            folder,
            addresses: Vec::new(),
            logs,
            access,
        };
        let wanted = config["listeners"].as_array().map_or(1, Vec::len);
        let found = weir.logs.wait(PATIENCE, |lines| {
            let addresses: Vec<SocketAddr> = lines.iter().filter_map(listening).collect();
            (addresses.len() >= wanted).then_some(addresses)
        });
        match found {
            Some(addresses) => weir.addresses = addresses,
            None => bail!("weir does not listen; its log:\n{}", weir.logs.text()),
        }
        Ok(weir)
    }

    /// Starts the proxy with a configuration that it must refuse; gives what it wrote.
    ///
    /// # Errors
    ///
    /// The process serves, or ends with success.
    pub fn refused(folder: &Path, config: &Value) -> Result<String> {
        write_config(folder, config)?;
        let (mut child, logs, _access) = spawn(folder)?;
        let listens = |lines: &[LogLine]| lines.iter().find_map(listening);
        let served = logs.wait(PATIENCE, listens);
        if served.is_some() {
            child.kill()?;
        }
        let status = wait(&mut child)?;
        ensure!(
            served.is_none() && status.code() == Some(1),
            "not refused but {status}:\n{}",
            logs.text()
        );
        Ok(logs.text())
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.listener(0)
    }

    /// The address of a listener, by its place in the configuration.
    pub fn listener(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    /// The log (standard error).
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The access log (standard output).
    pub fn access_log(&self) -> &Logs {
        &self.access
    }

    /// The folder of the configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the configuration file in one step, as an editor does.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_config(&self, config: &Value) -> Result<()> {
        write_config(self.folder.path(), config).map(drop)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns true if the process still runs.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal by name, such as `HUP`.
    ///
    /// # Errors
    ///
    /// The process has gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        // The shell's own `kill`: there is no safe way in the standard library, and no other program is always there.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()?;
        ensure!(status.success(), "cannot send {name} to {}", self.pid());
        Ok(())
    }

    /// Bytes of memory that the process has resident now, and the most that it ever had.
    ///
    /// # Errors
    ///
    /// The process has gone.
    pub fn resident(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.with_context(|| format!("no {name} in the status of the process"))
        };
        Ok((kibibytes("VmRSS:")? << 10, kibibytes("VmHWM:")? << 10))
    }

    /// Ends the process gracefully (SIGTERM) and waits for it.
    ///
    /// # Errors
    ///
    /// The process does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        wait(&mut self.child)
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // The process may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration as a file of the folder. JSON is YAML.
fn write_config(folder: &Path, config: &Value) -> Result<PathBuf> {
    let (path, new) = (folder.join("weir.yaml"), folder.join("weir.yaml.new"));
    fs::write(&new, format!("{config:#}\n"))?;
    fs::rename(&new, &path)?;
    Ok(path)
}

fn spawn(folder: &Path) -> Result<(Child, Arc<Logs>, Arc<Logs>)> {
    let mut child = Command::new(weir_binary()?)
        .args(["serve", "--log-format", "json", "--config"])
        .arg(folder.join("weir.yaml"))
        .env_remove("WEIR_LOG")
        .env("WEIR_CODE_CACHE", code_cache())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start weir")?;
    let stderr = child.stderr.take().context("its standard error")?;
    let stdout = child.stdout.take().context("its standard output")?;
    Ok((child, Logs::follow(stderr), Logs::follow(stdout)))
}

/// The address in a line that says that the proxy listens.
fn listening(line: &LogLine) -> Option<SocketAddr> {
    line.message()
        .starts_with("listening")
        .then(|| line.field("address")?.parse().ok())?
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    let until = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > until {
            child.kill()?;
            bail!("the process does not end");
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
