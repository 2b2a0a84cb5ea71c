//! What a log's thread writes to.

use std::io;

/// Takes the lines of a log, on the log's own thread.
pub trait Sink: Send + 'static {
    /// Writes whole lines, each with its line break. May block for as long as it takes; calls `moved` whenever something has
    /// been taken, by which [`LogWriter::finish`](crate::LogWriter::finish) sees that it is worth waiting.
    ///
    /// # Errors
    ///
    /// The rest of the lines cannot be written, and is lost.
    fn write(&mut self, lines: &[u8], moved: &mut dyn FnMut()) -> Result<(), Unwritten>;

    /// Opens again what was named, because it may have been renamed. The default does nothing.
    ///
    /// # Errors
    ///
    /// It cannot be opened; the old one is written on.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that could not be written.
#[derive(Debug)]
pub struct Unwritten {
    /// Why.
    pub error: io::Error,
    /// Bytes that were written before.
    pub written: usize,
}
