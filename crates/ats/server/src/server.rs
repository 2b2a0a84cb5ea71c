//! The server as a process.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::{Follow, Installation, Settings, Watchdog, files, ports};

/// The server's log line when it serves.
const READY: &str = "fully initialized";

/// Environment variable that names the file with a server's folders.
const RUNROOT: &str = "TS_RUNROOT";

/// Time for a server to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A function of the server in which 9.2.9 crashes while it starts, now and then: it sums up the statistics of threads, of
/// which some are not there yet. No plugin is on the stack.
const OWN_CRASH: &str = "summarize_stats";

/// Attempts to start a server that crashes in [`OWN_CRASH`].
const STARTS: usize = 3;

/// The wait before the next look.
const PAUSE: Duration = Duration::from_millis(5);

/// A running server. Killed when dropped, or with this process.
pub struct AtsServer {
    child: Child,
    /// The process that was started: the server, or its manager or wrapper.
    started: Arc<Process>,
    server: Arc<Process>,
    installation: Installation,
    root: PathBuf,
    managed: bool,
    http: SocketAddr,
    https: Option<SocketAddr>,
    stopped: Arc<AtomicBool>,
    // The fields below are dropped once the server has gone.
    _watchdog: Watchdog,
    _folder: Option<TempDir>,
}

impl AtsServer {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    ///
    /// None is installed, or it ended instead of serving; what it wrote is in the message.
    pub fn start(settings: &Settings) -> Result<Self> {
        for _ in 1..STARTS {
            match Self::start_once(settings) {
                Err(error) if format!("{error:#}").contains(OWN_CRASH) => {}
                outcome => return outcome,
            }
        }
        Self::start_once(settings)
    }

    fn start_once(settings: &Settings) -> Result<Self> {
        let installation = Installation::find()?;
        let (folder, root) = match &settings.folder {
            Some(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                (None, fs::canonicalize(folder)?)
            }
            None => {
                let folder = tempfile::tempdir()?;
                let root = fs::canonicalize(folder.path())?;
                (Some(folder), root)
            }
        };
        let http = settings.http_port.map_or_else(ports::free_port, Ok)?;
        let https = settings.tls.is_some().then(ports::free_port).transpose()?;
        files::write(&root, settings, &installation, http, https)?;

        let child = spawn(&root, settings, &installation)?;
        let watched = || {
            let watchdog = Watchdog::of_server(child.id(), &lock(&root), &environment(&root))?;
            Ok((watchdog, Arc::new(Process::open(child.id())?)))
        };
        let (watchdog, started) = match watched() {
            Ok(both) => both,
            Err(error) => {
                kill(child);
                return Err(error);
            }
        };
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self {
            server: Arc::clone(&started),
            started,
            child,
            managed: is_managed(settings, &installation),
            installation,
            http: address(http),
            https: https.map(address),
            stopped: Arc::default(),
            root,
            _watchdog: watchdog,
            _folder: folder,
        };
        server.wait_until_ready(settings.patience)?;
        // The server itself, whatever it was started by.
        if let Some(own) = server.locked() {
            server.server = Arc::new(own);
        }
        Ok(server)
    }

    /// The plain-text listen address.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The listen address of TLS, if there is one.
    pub fn https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// The process `traffic_server`, also where another one started it.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The installation that it was started from.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The folder of everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of its configuration.
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// Everything that it has written so far, debug output too.
    pub fn output(&self) -> PathBuf {
        output(&self.root)
    }

    /// `diags.log`: notes, warnings and errors.
    pub fn diags_log(&self) -> PathBuf {
        self.root.join("log/diags.log")
    }

    /// `error.log`: failed transactions.
    pub fn error_log(&self) -> PathBuf {
        self.root.join("log/error.log")
    }

    /// The text of [`AtsServer::output`]; empty if it cannot be read.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output()).unwrap_or_default()).into_owned()
    }

    /// Reads [`AtsServer::output`] from its beginning, until the server has ended.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn follow(&self) -> Result<Follow> {
        Follow::new(&self.output(), &self.started, &self.stopped).context("cannot read the server's output")
    }

    /// Writes a file of its configuration in one step. It is read at the next reload.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        files::put(&self.etc().join(name), content)
    }

    /// Has a process of its own check the configuration: `traffic_server -C verify_config`. Returns true if that found
    /// nothing wrong, and what it printed.
    ///
    /// # Errors
    ///
    /// The program cannot be run.
    pub fn verify_config(&self) -> Result<(bool, String)> {
        let output = Command::new(self.installation.program("traffic_server"))
            .args(["-C", "verify_config"])
            .env(RUNROOT, runroot(&self.root))
            .output()
            .context("cannot run traffic_server")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    /// Runs `traffic_ctl` and returns what it printed. Before 10 the server must be [`Settings::managed`].
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn ctl(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(self.installation.program("traffic_ctl"))
            .args(args)
            .env(RUNROOT, runroot(&self.root))
            .output()
            .context("cannot run traffic_ctl")?;
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let lines = text.lines().filter(|line| !line.contains(RUNROOT));
            lines.collect::<Vec<_>>().join("\n")
        };
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if !output.status.success() {
            let command = args.join(" ");
            bail!("traffic_ctl {command}: {}\n{stdout}{stderr}", output.status);
        }
        Ok(stdout)
    }

    /// The value of a metric. Before 10 it is five seconds old at most.
    ///
    /// # Errors
    ///
    /// There is none of that name, or [`AtsServer::ctl`] failed.
    pub fn metric(&self, name: &str) -> Result<String> {
        let text = self.ctl(&["metric", "get", name])?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value = value.with_context(|| format!("no metric {name}:\n{text}"))?;
        Ok(value.trim().to_owned())
    }

    /// Bytes of memory that it has resident now, and the most that it ever had.
    ///
    /// # Errors
    ///
    /// The server has gone.
    pub fn resident(&self) -> Result<(u64, u64)> {
        self.server.resident()
    }

    /// True while the server runs. A server that its manager has restarted does not count.
    pub fn is_alive(&self) -> bool {
        self.server.runs()
    }

    /// Waits until it has ended, by whatever.
    ///
    /// # Errors
    ///
    /// The system does not tell.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        self.stopped.store(true, Ordering::Release);
        Ok(status)
    }

    /// Ends it gracefully (SIGTERM) and waits; kills it if that takes too long.
    ///
    /// # Errors
    ///
    /// The server had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.started.signal(Signal::TERM)?;
        let until = Instant::now() + GRACE;
        while self.child.try_wait()?.is_none() || self.server.runs() {
            if Instant::now() > until {
                self.kill();
                bail!(
                    "the server did not stop within {GRACE:?}; its log:\n{}",
                    self.log_text()
                );
            }
            std::thread::park_timeout(PAUSE);
        }
        self.wait()
    }

    fn wait_until_ready(&mut self, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            let ended = self.child.try_wait()?;
            let log = self.log_text();
            if log.contains(READY) {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("the server ended instead of serving ({status}); its log:\n{log}");
            }
            if Instant::now() > until {
                bail!("the server does not serve within {patience:?}; its log:\n{log}");
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    /// The process that holds the server's lock.
    fn locked(&self) -> Option<Process> {
        Process::noted(&lock(&self.root), &environment(&self.root))
    }

    fn kill(&mut self) {
        // A process that has ended needs nothing. The manager is killed first, or it would start another server.
        let _ = self.child.kill();
        if self.managed
            && let Some(server) = self.locked()
        {
            let _ = server.signal(Signal::KILL);
        }
        let _ = self.child.wait();
        self.stopped.store(true, Ordering::Release);
    }
}

impl Drop for AtsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn output(root: &Path) -> PathBuf {
    root.join("log/traffic.out")
}

fn lock(root: &Path) -> PathBuf {
    root.join("run/server.lock")
}

/// The variable that tells a server where its files are, as it stands in its environment.
fn environment(root: &Path) -> String {
    format!("{RUNROOT}={}", runroot(root).display())
}

fn runroot(root: &Path) -> PathBuf {
    root.join("runroot.yaml")
}

fn is_managed(settings: &Settings, installation: &Installation) -> bool {
    settings.managed && !installation.version().is_10()
}

fn spawn(root: &Path, settings: &Settings, installation: &Installation) -> Result<Child> {
    let program = if is_managed(settings, installation) {
        "traffic_manager"
    } else {
        "traffic_server"
    };
    let program = installation.program(program);
    let mut command = match settings.wrapper.split_first() {
        None => Command::new(&program),
        Some((wrapper, args)) => {
            let mut command = Command::new(wrapper);
            command.args(args).arg(&program);
            command
        }
    };
    let log = File::create(output(root)).context("cannot write the server's output")?;
    // Left from an earlier server of the same folder.
    let _ = fs::remove_file(lock(root));
    command
        .current_dir(root)
        .env(RUNROOT, runroot(root))
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

fn kill(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
