//! What a log is written to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The device and number of a file, with the turns of the logs that write to it.
type Turns = Vec<((u64, u64), Weak<Mutex<()>>)>;

/// The files that logs write to now.
static TURNS: Mutex<Turns> = Mutex::new(Vec::new());

/// What a log is written to.
///
/// The standard streams are written through descriptors of our own: the library's `Stdout` has a buffer, which keeps what
/// could not be written.
#[derive(Debug)]
pub struct LogTarget {
    file: File,
    /// Of a file that can be opened again.
    path: Option<PathBuf>,
    /// Logs of one file (standard error and output may be one pipe) take turns, so that no line begins inside of another.
    turn: Arc<Mutex<()>>,
}

impl LogTarget {
    /// Standard output.
    ///
    /// # Errors
    ///
    /// The process may open no more files.
    pub fn stdout() -> io::Result<Self> {
        Self::stream(&io::stdout())
    }

    /// Standard error.
    ///
    /// # Errors
    ///
    /// The process may open no more files.
    pub fn stderr() -> io::Result<Self> {
        Self::stream(&io::stderr())
    }

    /// The end of a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be opened for writing.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Self::new(file, Some(path))
    }

    fn stream(stream: &impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        Self::new(file, None)
    }

    fn new(file: File, path: Option<PathBuf>) -> io::Result<Self> {
        let found = file.metadata()?;
        let turn = turn_of((found.dev(), found.ino()));
        Ok(Self { file, path, turn })
    }

    /// To be held while whole lines are written.
    pub(crate) fn turn(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.turn)
    }

    /// Where lines are written.
    pub(crate) const fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Opens the path again, which rotation has given to another file. Streams stay. After an error the old file stays.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = self.path.clone() {
            *self = Self::file(path)?;
        }
        Ok(())
    }
}

/// What those who write to a file take turns by.
fn turn_of(file: (u64, u64)) -> Arc<Mutex<()>> {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|(_, turn)| turn.strong_count() > 0);
    let known = turns.iter().find(|(known, _)| *known == file);
    if let Some(turn) = known.and_then(|(_, turn)| turn.upgrade()) {
        return turn;
    }
    let turn = Arc::default();
    turns.push((file, Arc::downgrade(&turn)));
    turn
}

#[cfg(test)]
impl TryFrom<io::PipeWriter> for LogTarget {
    type Error = io::Error;

    fn try_from(pipe: io::PipeWriter) -> io::Result<Self> {
        Self::new(File::from(std::os::fd::OwnedFd::from(pipe)), None)
    }
}
