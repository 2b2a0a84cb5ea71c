//! The target of a log.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::{Sink, Unwritten};

/// The pause before the next try at a file that somebody has made non-blocking and that is full.
const FULL: Duration = Duration::from_millis(10);

/// The device and number of a file, with the turns of the logs that write to it.
type Turns = Vec<((u64, u64), Weak<Mutex<()>>)>;

/// The files that logs write to now.
static TURNS: Mutex<Turns> = Mutex::new(Vec::new());

/// The target of a log.
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
    /// A line was cut where the disk was full: what follows begins a new one.
    cut: bool,
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
    /// The file cannot be opened for writing.
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
        Ok(Self {
            file,
            path,
            turn,
            cut: false,
        })
    }
}

impl Sink for LogTarget {
    fn write(&mut self, lines: &[u8], moved: &mut dyn FnMut()) -> Result<(), Unwritten> {
        let turn = Arc::clone(&self.turn);
        let _held = turn.lock().unwrap_or_else(PoisonError::into_inner);
        while self.cut && !lines.is_empty() {
            match self.file.write(b"\n") {
                Ok(1..) => self.cut = false,
                Ok(0) => return Err(unwritten(ErrorKind::WriteZero.into(), 0)),
                Err(error) => pause_or_fail(error).map_err(|error| unwritten(error, 0))?,
            }
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err(unwritten(ErrorKind::WriteZero.into(), written)),
                Ok(taken) => {
                    written += taken;
                    self.cut = lines.get(written - 1) != Some(&b'\n');
                    moved();
                }
                Err(error) => pause_or_fail(error).map_err(|error| unwritten(error, written))?,
            }
        }
        Ok(())
    }

    /// Opens the path again, which rotation has given to another file. Streams stay. After an error the old file stays.
    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = self.path.clone() {
            *self = Self::file(path)?;
        }
        Ok(())
    }
}

const fn unwritten(error: io::Error, written: usize) -> Unwritten {
    Unwritten { error, written }
}

/// Whether a write is to be tried again, after a pause where the file is full for the moment.
fn pause_or_fail(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock => {
            #[expect(
                clippy::disallowed_methods,
                reason = "the log's own thread, for which nothing but lines waits"
            )]
            std::thread::sleep(FULL);
            Ok(())
        }
        _ => Err(error),
    }
}

/// The lock of a file's writers.
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
