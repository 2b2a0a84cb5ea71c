//! The system's events about files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::trail::Trail;

/// The number of times that the watches are set anew where folders and links change meanwhile. Beyond, the next look sets them.
const MAX_ROUNDS: usize = 3;

/// Room for some dozens of events.
const BUFFER: usize = 4 << 10;

/// Listens for events about the entries that lead to files, and about the files themselves.
///
/// Folders are asked for names that come and go and for nothing else: what is written to another file of a folder makes no
/// event at all.
pub(super) struct Events {
    inotify: Option<Inotify>,
    watched: HashMap<WatchDescriptor, Watched>,
    /// The last failure that was logged.
    logged: Option<String>,
    /// Asks the system for nothing: for tests of what happens without events.
    deaf: bool,
}

/// The names that count at one watch.
#[derive(Debug)]
enum Watched {
    /// A folder, where these names count.
    Folder(BTreeSet<OsString>),
    /// A file.
    File,
}

/// The things to watch: for each folder the names that count, and the files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    folders: BTreeMap<PathBuf, BTreeSet<OsString>>,
    files: BTreeSet<PathBuf>,
}

impl Events {
    /// Listens for nothing yet.
    pub fn new() -> Self {
        Self {
            inotify: None,
            watched: HashMap::new(),
            logged: None,
            deaf: false,
        }
    }

    /// Never hears anything.
    #[cfg(test)]
    pub fn deaf() -> Self {
        Self {
            deaf: true,
            ..Self::new()
        }
    }

    /// Listens for events about these files from now on, and no others. A failure is logged once; the files are still
    /// looked at from time to time.
    pub fn follow<'f>(&mut self, files: &(impl Iterator<Item = &'f Path> + Clone)) {
        if self.deaf {
            return;
        }
        let failure = self.try_follow(files).err();
        if failure.is_some() && failure != self.logged {
            tracing::warn!(
                "watch: the system reports no changes of some files: {}; Weir looks at all files every 10 s",
                failure.as_deref().unwrap_or_default()
            );
        }
        self.logged = failure;
    }

    fn try_follow<'f>(&mut self, files: &(impl Iterator<Item = &'f Path> + Clone)) -> Result<(), String> {
        let inotify = match &mut self.inotify {
            Some(inotify) => inotify,
            none => none.insert(Inotify::init().map_err(|error| error.to_string())?),
        };
        let mut failure = Ok(());
        let mut last = Wanted::default();
        for _ in 0..MAX_ROUNDS {
            let wanted = Wanted::of(files.clone());
            if wanted == last {
                break;
            }
            let before = std::mem::take(&mut self.watched);
            (self.watched, failure) = watch(inotify, &wanted);
            for gone in before
                .into_keys()
                .filter(|known| !self.watched.contains_key(known))
            {
                // The system itself has ended the watch of what was deleted.
                let _ = inotify.watches().remove(gone);
            }
            // Something may have changed before its watch stood.
            last = wanted;
        }
        failure
    }

    /// Waits until an event about the files comes, `wake` is written to, or `most` has passed. Returns true for an event.
    pub fn wait(&mut self, wake: &OwnedFd, most: Option<Duration>) -> bool {
        let most = most.and_then(|most| Timespec::try_from(most).ok());
        let mut waited = vec![PollFd::new(wake, PollFlags::IN)];
        waited.extend(
            self.inotify
                .as_ref()
                .map(|inotify| PollFd::new(inotify, PollFlags::IN)),
        );
        // An interrupted wait is one that ended early.
        let _ = poll(&mut waited, most.as_ref());
        // Empty unless it was written to.
        let _ = rustix::io::read(wake, &mut [0_u8; 8]);
        self.read()
    }

    /// Reads the events that have come; true if one is about the files.
    fn read(&mut self) -> bool {
        let mut heard = false;
        let mut buffer = [0; BUFFER];
        while let Some(inotify) = &mut self.inotify {
            match inotify.read_events(&mut buffer) {
                Ok(events) => {
                    for event in events {
                        heard |= event.mask.contains(EventMask::Q_OVERFLOW)
                            || match (self.watched.get(&event.wd), event.name) {
                                (Some(Watched::Folder(names)), Some(name)) => names.contains(name),
                                // About the folder itself.
                                (Some(_), _) => true,
                                (None, _) => false,
                            };
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(%error, "watch: no more events; the next look listens anew");
                    self.inotify = None;
                    self.watched.clear();
                }
            }
        }
        heard
    }
}

impl Wanted {
    fn of<'f>(files: impl Iterator<Item = &'f Path>) -> Self {
        let mut wanted = Self::default();
        for file in files {
            let trail = Trail::of(file);
            for (folder, name) in trail.entries {
                wanted.folders.entry(folder).or_default().insert(name);
            }
            wanted.files.extend(trail.file);
        }
        wanted
    }
}

/// Sets the watches, as far as the system lets us; the error is the first thing that it refused.
fn watch(inotify: &Inotify, wanted: &Wanted) -> (HashMap<WatchDescriptor, Watched>, Result<(), String>) {
    let entries = WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    let contents = WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
    let mut watched = HashMap::new();
    let mut failure = Ok(());
    let mut refused = |path: &Path, error: io::Error| match error.kind() {
        // Gone meanwhile, which its folder tells; not to be read, as folders on the way to a file often are.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
            tracing::debug!(path = %path.display(), %error, "not watched");
        }
        _ if failure.is_ok() => failure = Err(format!("{}: {error}", path.display())),
        _ => {}
    };
    for (folder, names) in &wanted.folders {
        match inotify.watches().add(folder, entries | WatchMask::DONT_FOLLOW) {
            Ok(watch) => {
                let names = names.iter().cloned();
                match watched.entry(watch).or_insert(Watched::File) {
                    Watched::Folder(known) => known.extend(names),
                    new => *new = Watched::Folder(names.collect()),
                }
            }
            Err(error) => refused(folder, error),
        }
    }
    for file in &wanted.files {
        match inotify.watches().add(file, contents | WatchMask::DONT_FOLLOW) {
            Ok(watch) => {
                watched.entry(watch).or_insert(Watched::File);
            }
            Err(error) => refused(file, error),
        }
    }
    (watched, failure)
}
