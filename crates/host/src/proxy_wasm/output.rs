//! What a guest writes to standard output and standard error, until it goes to the log.
//!
//! Language runtimes write a line in many pieces, and the story of a crash in many lines. Standard output is logged line by
//! line. Standard error waits for the end of the callback: then each line is a record, but what a guest that dies has
//! written is one.

use weir_abi::{LogLevel, limits};

use super::state::VmState;

/// An output of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandardStream {
    /// Logged at level info.
    Output,
    /// Logged at level error.
    Error,
}

/// What has been written and not logged yet. Neither holds more than twice [`limits::MAX_LOG_MESSAGE`].
#[derive(Default)]
pub(crate) struct Written {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Written {
    const fn is_empty(&self) -> bool {
        self.output.is_empty() && self.error.is_empty()
    }
}

impl VmState {
    /// The guest writes `text`, no more than [`limits::MAX_LOG_MESSAGE`] bytes of it.
    pub fn write(&mut self, stream: StandardStream, text: &[u8]) {
        let (written, level) = match stream {
            StandardStream::Output => (&mut self.written.output, LogLevel::Info),
            StandardStream::Error => (&mut self.written.error, LogLevel::Error),
        };
        written.extend_from_slice(text);
        let waits = stream == StandardStream::Error && written.len() <= limits::MAX_LOG_MESSAGE;
        if waits {
            return;
        }
        let mut written = std::mem::take(written);
        let mut logged = self.log_lines(level, &written);
        if written.len() - logged > limits::MAX_LOG_MESSAGE {
            self.log(level, &written[logged..]);
            logged = written.len();
        }
        written.drain(..logged);
        match stream {
            StandardStream::Output => self.written.output = written,
            StandardStream::Error => self.written.error = written,
        }
    }

    /// A callback has returned, or the guest logs something itself: what it has written before comes first.
    #[inline]
    pub fn log_written(&mut self) {
        if !self.written.is_empty() {
            self.log_all_written();
        }
    }

    #[cold]
    fn log_all_written(&mut self) {
        let Written { output, error } = std::mem::take(&mut self.written);
        for (level, text) in [(LogLevel::Info, output), (LogLevel::Error, error)] {
            let logged = self.log_lines(level, &text);
            if logged < text.len() {
                self.log(level, &text[logged..]);
            }
        }
    }

    /// The guest has died: what it wrote to standard error in its last callback is one record.
    pub fn log_last_words(&mut self) {
        let error = std::mem::take(&mut self.written.error);
        self.log_written();
        if !error.is_empty() {
            self.log(LogLevel::Error, error.strip_suffix(b"\n").unwrap_or(&error));
        }
    }

    /// Logs the whole lines of `text`; the number of bytes that they are.
    fn log_lines(&self, level: LogLevel, text: &[u8]) -> usize {
        let mut logged = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                break;
            };
            self.log(level, line);
            logged += line.len() + 1;
        }
        logged
    }
}

impl Drop for VmState {
    /// A guest whose instantiation fails has no other end.
    fn drop(&mut self) {
        self.log_last_words();
    }
}
