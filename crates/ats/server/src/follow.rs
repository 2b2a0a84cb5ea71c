//! A file that is read while it is written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::process::Process;

/// The wait for more before the next look.
const PAUSE: Duration = Duration::from_millis(5);

/// Reads a file from its beginning, waits for more at its end, and ends with the process that writes it.
pub struct Follow {
    file: File,
    writer: Arc<Process>,
    stopped: Arc<AtomicBool>,
}

impl Follow {
    pub(crate) fn new(path: &Path, writer: &Arc<Process>, stopped: &Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            writer: Arc::clone(writer),
            stopped: Arc::clone(stopped),
        })
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked first: what was written before the end is read after it.
            let ended = self.stopped.load(Ordering::Acquire) || !self.writer.runs();
            let count = self.file.read(buffer)?;
            if count > 0 || ended || buffer.is_empty() {
                return Ok(count);
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}
