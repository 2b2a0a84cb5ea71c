//! Standard output and standard error of a guest, until they go to the log.
//!
//! Language runtimes write a line in many pieces, and the story of a crash in many lines. Standard output is logged line by
//! line. Standard error waits for the end of the call: then each line is a record, but the last words of a guest that dies
//! are one.

use weir_abi::{LogLevel, limits};

/// An output of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandardStream {
    /// Logged at level info.
    Output,
    /// Logged at level error.
    Error,
}

/// Bytes that have been written and not logged yet. Neither stream holds more than twice [`limits::MAX_LOG_MESSAGE`].
#[derive(Default)]
pub(crate) struct Written {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Written {
    /// Returns true if nothing waits to be logged.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.output.is_empty() && self.error.is_empty()
    }

    /// Takes `text` from the guest, no more than [`limits::MAX_LOG_MESSAGE`] bytes of it.
    pub fn write(&mut self, stream: StandardStream, text: &[u8], mut log: impl FnMut(LogLevel, &[u8])) {
        let (written, level) = match stream {
            StandardStream::Output => (&mut self.output, LogLevel::Info),
            StandardStream::Error => (&mut self.error, LogLevel::Error),
        };
        written.extend_from_slice(text);
        let waits = stream == StandardStream::Error && written.len() <= limits::MAX_LOG_MESSAGE;
        if waits {
            return;
        }
        let mut logged = log_lines(written, |line| log(level, line));
        if written.len() - logged > limits::MAX_LOG_MESSAGE {
            log(level, &written[logged..]);
            logged = written.len();
        }
        written.drain(..logged);
    }

    /// Logs all that has been written: before a line that the guest logs itself, and when a call has returned.
    #[cold]
    pub fn log_all(&mut self, mut log: impl FnMut(LogLevel, &[u8])) {
        let Self { output, error } = std::mem::take(self);
        for (level, text) in [(LogLevel::Info, output), (LogLevel::Error, error)] {
            let logged = log_lines(&text, |line| log(level, line));
            if logged < text.len() {
                log(level, &text[logged..]);
            }
        }
    }

    /// Takes out the end of standard error, of which a guest that has died makes one record.
    pub fn take_error(&mut self) -> Vec<u8> {
        let mut error = std::mem::take(&mut self.error);
        if error.ends_with(b"\n") {
            error.pop();
        }
        error
    }
}

/// Logs the whole lines of `text` and returns the number of their bytes.
fn log_lines(text: &[u8], mut log: impl FnMut(&[u8])) -> usize {
    let mut logged = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        log(line);
        logged += line.len() + 1;
    }
    logged
}
