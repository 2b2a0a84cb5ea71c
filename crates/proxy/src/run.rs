//! Running until a signal ends it: reload on SIGHUP and when a file changes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::ProxyError;
use crate::proxy::{Proxy, ProxyHandle};

/// Changes of files are looked at when nothing more has happened for so long: editors and copies write in pieces.
const QUIET: Duration = Duration::from_millis(200);

/// The signals that a running proxy follows, caught from the moment on that this is made.
///
/// Made before the proxy starts, so that a signal which comes as soon as it listens does what it says rather than what
/// the system does by default: SIGHUP would end the process.
pub struct Signals {
    runtime: Runtime,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches SIGHUP, SIGTERM and SIGINT, for the rest of the process's life.
    ///
    /// # Errors
    ///
    /// The system gives us no runtime or no signals.
    pub fn catch() -> Result<Self, ProxyError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let context = runtime.enter();
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(context);
        Ok(Self {
            runtime,
            hangup,
            terminate,
            interrupt,
        })
    }
}

impl Proxy {
    /// Reloads on SIGHUP and, where the configuration says so, when one of its files changes; ends gracefully on SIGTERM
    /// and SIGINT. Blocks until the end.
    pub fn run_until_signal(self, mut signals: Signals) -> Result<(), ProxyError> {
        let followed = follow_signals(
            self.handle(),
            &mut signals.hangup,
            &mut signals.terminate,
            &mut signals.interrupt,
        );
        signals.runtime.block_on(followed);
        tracing::info!("shutting down");
        self.shutdown();
        // A reload that still compiles is not waited for.
        signals.runtime.shutdown_background();
        Ok(())
    }
}

async fn follow_signals(
    proxy: ProxyHandle,
    hangup: &mut Signal,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) {
    let (events, mut changes) = unbounded_channel();
    let mut watch = FileWatch::new(events);
    watch.follow(&proxy);
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            received = hangup.recv() => {
                if received.is_none() {
                    return;
                }
                tracing::info!("reloading on SIGHUP");
            }
            () = quiet_after_change(&mut changes) => {
                if !watch.has_changed() {
                    continue;
                }
                tracing::info!("reloading, since a file has changed");
            }
        }
        let reloading = proxy.clone();
        let reload = tokio::task::spawn_blocking(move || reloading.reload());
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            // How it went has been logged.
            _ = reload => {}
        }
        watch.follow(&proxy);
    }
}

async fn quiet_after_change(changes: &mut UnboundedReceiver<()>) {
    if changes.recv().await.is_none() {
        return std::future::pending().await;
    }
    // An end of the channel is an end of changes, too.
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

/// Watches the folders of files. Files themselves are replaced rather than written to by most editors and by
/// orchestrators, so that a watch on them would see only the first change.
struct FileWatch {
    events: UnboundedSender<()>,
    watcher: Option<RecommendedWatcher>,
    folders: HashSet<PathBuf>,
    files: HashMap<PathBuf, Option<Stamp>>,
}

/// What tells a file from what it was.
type Stamp = (SystemTime, u64, u64);

impl FileWatch {
    fn new(events: UnboundedSender<()>) -> Self {
        Self {
            events,
            watcher: None,
            folders: HashSet::new(),
            files: HashMap::new(),
        }
    }

    /// Watches what the proxy is made of now.
    fn follow(&mut self, proxy: &ProxyHandle) {
        let (files, wanted) = proxy.files();
        if !wanted {
            *self = Self::new(self.events.clone());
            return;
        }
        self.files = files
            .into_iter()
            .map(|file| (file.clone(), stamp(&file)))
            .collect();
        let folders: HashSet<PathBuf> = self
            .files
            .keys()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        if folders == self.folders && self.watcher.is_some() {
            return;
        }
        match watch(&folders, self.events.clone()) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.folders = folders;
            }
            Err(error) => tracing::warn!(%error, "files cannot be watched; SIGHUP reloads"),
        }
    }

    /// Whether a file is not what it was.
    fn has_changed(&self) -> bool {
        self.files.iter().any(|(file, known)| stamp(file) != *known)
    }
}

fn watch(folders: &HashSet<PathBuf>, events: UnboundedSender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            // Nobody listens any more when the proxy ends.
            let _ = events.send(());
        }
    })?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
