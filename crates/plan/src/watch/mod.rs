//! Watching the files that something was loaded from.

mod events;
mod schedule;
mod trail;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use weir_loader::FileStamp;

use events::Events;
use schedule::{Pace, Schedule, Step};

/// Watches files, through links and replaced folders, on a thread of its own, and says when a reload is due.
///
/// Only the files count: other files of their folders neither cause a reload nor delay one. Changes within a fifth of a
/// second are one, and no change waits for longer than a second. Where the system reports no events (network file
/// systems, exhausted limits), the watch looks at the files every ten seconds. Dropping it ends the thread.
#[derive(Debug)]
pub struct FileWatch {
    /// `None` only while this is dropped.
    orders: Option<Sender<Order>>,
    wake: Arc<OwnedFd>,
}

/// Why a reload is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A followed file is not the one that was loaded.
    Changed,
    /// The last reload failed, and a pause has passed: 1 s at first, doubled for each failure up to a minute.
    Retry,
}

/// The outcome of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The files are served from.
    Yes,
    /// The reload failed: the watch asks for another one after a pause.
    No,
}

/// Files to follow, on their way to the thread.
struct Order {
    files: Vec<(PathBuf, FileStamp)>,
    /// The outcome of the reload that has ended.
    reloaded: Option<Loaded>,
}

impl FileWatch {
    /// Starts the thread, which follows nothing yet. It calls `due` when a reload is due, and not again before
    /// [`FileWatch::reloaded`] has told how that went.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no file descriptor.
    pub fn start(due: impl FnMut(Cause) + Send + 'static) -> io::Result<Self> {
        Self::start_with(Pace::DEFAULT, Events::new(), due)
    }

    fn start_with(pace: Pace, events: Events, due: impl FnMut(Cause) + Send + 'static) -> io::Result<Self> {
        let (orders, received) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let watcher = Watcher {
            files: Vec::new(),
            events,
            schedule: Schedule::new(pace),
            due,
        };
        let woken = Arc::clone(&wake);
        std::thread::Builder::new()
            .name("weir-watch".to_owned())
            .spawn(move || watcher.run(&received, &woken))?;
        Ok(Self {
            orders: Some(orders),
            wake,
        })
    }

    /// Follows these files from now on, and no others; without files there are no retries either. Each comes with the
    /// stamp that it had before it was read, so that a later change is not missed. Called at start, and when what is loaded
    /// has changed without a reload.
    pub fn follow(&self, files: Vec<(PathBuf, FileStamp)>) {
        self.order(Order {
            files,
            reloaded: None,
        });
    }

    /// As [`FileWatch::follow`], after a reload: whoever asked for that, it was the answer to what was due.
    pub fn reloaded(&self, files: Vec<(PathBuf, FileStamp)>, loaded: Loaded) {
        self.order(Order {
            files,
            reloaded: Some(loaded),
        });
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread ends only after this is dropped.
            let _ = orders.send(order);
        }
        self.wake();
    }

    fn wake(&self) {
        // A counter that is full wakes the thread as well.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.orders = None;
        self.wake();
    }
}

/// The thread's own.
struct Watcher<D> {
    files: Vec<(PathBuf, FileStamp)>,
    events: Events,
    schedule: Schedule,
    due: D,
}

impl<D: FnMut(Cause)> Watcher<D> {
    /// Runs until the [`FileWatch`] is dropped.
    fn run(mut self, orders: &Receiver<Order>, wake: &OwnedFd) {
        loop {
            let heard = self.events.wait(wake, self.schedule.wait(Instant::now()));
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let now = Instant::now();
            if heard {
                self.schedule.heard(now);
            }
            match self.schedule.next(now) {
                Some(Step::Look) if self.look() => self.begin(Cause::Changed),
                Some(Step::SlowLook) if self.look() => self.schedule.heard(now),
                Some(Step::Retry) => self.begin(Cause::Retry),
                _ => {}
            }
        }
    }

    fn obey(&mut self, order: Order) {
        self.files = order.files;
        let now = Instant::now();
        let follows = !self.files.is_empty();
        self.schedule.follows(now, follows);
        if let Some(loaded) = order.reloaded {
            self.schedule.reloaded(now, loaded, follows);
        }
        if self.look() {
            // Between being read and being watched.
            self.schedule.heard(now);
        }
    }

    fn begin(&mut self, cause: Cause) {
        self.schedule.begin(cause);
        (self.due)(cause);
    }

    /// Finds the folders and files again, which may be others by now, and tells whether a file is not what it was.
    fn look(&mut self) -> bool {
        self.events
            .follow(&self.files.iter().map(|(file, _)| file.as_path()));
        self.files
            .iter()
            .any(|(file, known)| FileStamp::of(file) != *known)
    }
}

#[cfg(test)]
mod tests;
