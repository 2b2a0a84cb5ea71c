//! Running until a signal ends it: reload on SIGHUP and when a file changes.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use weir_plan::FileWatch;

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
    let mut watch = FileWatch::new(move || {
        // Nobody listens any more when the proxy ends.
        let _ = events.send(());
    });
    watch.follow(proxy.watched_files());
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
        watch.follow(proxy.watched_files());
    }
}

async fn quiet_after_change(changes: &mut UnboundedReceiver<()>) {
    if changes.recv().await.is_none() {
        return std::future::pending().await;
    }
    // An end of the channel is an end of changes, too.
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}
