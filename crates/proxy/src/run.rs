//! Running until a signal ends it: reload on SIGHUP and when a file changes.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use weir_plan::{Cause, FileWatch, Loaded};

use crate::error::ProxyError;
use crate::proxy::{Proxy, ProxyHandle, ReloadCause};

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
        // The watch asks for one reload at a time. One that SIGHUP has made needless may wait here, which is harmless.
        let (events, due) = channel(1);
        let watch = FileWatch::start(move |cause| {
            // Nobody listens any more when the proxy ends.
            let _ = events.try_send(cause);
        })?;
        let followed = follow_signals(
            self.handle(),
            &watch,
            due,
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
    watch: &FileWatch,
    mut due: Receiver<Cause>,
    hangup: &mut Signal,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) {
    watch.follow(proxy.watched_files());
    loop {
        let cause = tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            received = hangup.recv() => {
                if received.is_none() {
                    return;
                }
                tracing::info!("reloading on SIGHUP");
                ReloadCause::Asked
            }
            Some(cause) = due.recv() => {
                match cause {
                    Cause::Changed => tracing::info!("reloading, since a file has changed"),
                    Cause::Retry => tracing::debug!("reloading again after a failure"),
                }
                ReloadCause::Watch(cause)
            }
        };
        let reloading = proxy.clone();
        let reload = tokio::task::spawn_blocking(move || reloading.reload_for(cause));
        let loaded = tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            // The outcome has been logged.
            reloaded = reload => match reloaded {
                Ok(Ok(())) => Loaded::Yes,
                _ => Loaded::No,
            },
        };
        // Asked for before or while the files were read again.
        while due.try_recv().is_ok() {}
        watch.reloaded(proxy.watched_files(), loaded);
    }
}
