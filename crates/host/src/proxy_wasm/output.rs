//! What a guest writes to the log, by the hostcall or to its standard streams.
//!
//! Each line is paid for from the plugin's allowance, before anything is copied; lines beyond are lost. The last lines that
//! were lost in a callback are kept until it returns, so that they can tell why a guest has died.
//!
//! Language runtimes write a line in many pieces, and the story of a crash in many lines. Standard output is logged line by
//! line. Standard error waits for the end of the callback: then each line is a record, but what a guest that dies has
//! written is one.

use weir_abi::{LogLevel, limits};
use weir_engine::ByteSize;

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
    /// The last lines that were lost in this callback, no more than [`KEPT_LOSSES`], and the level of the last one.
    lost: Vec<u8>,
    lost_level: Option<LogLevel>,
}

/// Bytes of lost lines that are kept until the callback returns.
const KEPT_LOSSES: usize = 4 << 10;

impl Written {
    const fn is_empty(&self) -> bool {
        self.output.is_empty() && self.error.is_empty()
    }

    /// Keeps a line that was lost.
    fn keep_loss(&mut self, level: LogLevel, line: &[u8]) {
        let line = &line[..line.len().min(KEPT_LOSSES)];
        if self.lost.len() + 1 + line.len() > KEPT_LOSSES {
            self.lost.clear();
        }
        if !self.lost.is_empty() {
            self.lost.push(b'\n');
        }
        self.lost.extend_from_slice(line);
        self.lost_level = Some(level);
    }
}

impl VmState {
    /// The guest logs a line, under the name of the effective plugin. Lost where the plugin has used up what it may log.
    pub fn log(&mut self, level: LogLevel, line: &[u8]) {
        let plugin = self.plugin();
        let name = plugin.map(|plugin| plugin.spec.name.as_str());
        if !self.services.keeps(level, name) {
            return;
        }
        let allowance = plugin.map_or(&self.starting_log, |plugin| &plugin.log);
        let paid = allowance.pay(line.len(), self.spec.limits.log);
        let losses = allowance.untold_losses();
        if paid {
            self.services.log(level, name, line);
        } else {
            self.written.keep_loss(level, line);
        }
        if let Some(losses) = losses {
            self.log_losses(losses);
        }
    }

    /// Logs a line of the host about the guest. Whoever calls this bounds how often.
    pub fn log_about(&self, level: LogLevel, text: &str) {
        let name = self.plugin().map(|plugin| plugin.spec.name.as_str());
        self.services.log_about(level, name, text);
    }

    #[cold]
    fn log_losses(&self, losses: u64) {
        let whose = match self.plugin() {
            Some(plugin) => format!("filter {}", plugin.spec.name),
            None => format!("module {}", self.spec.module.name()),
        };
        let text = format!(
            "{whose} logs more than limits.log ({} a second): {losses} of its lines are lost (said every {} s at most)",
            ByteSize(self.spec.limits.log),
            limits::LOG_WARNING_PAUSE.as_secs(),
        );
        self.log_about(LogLevel::Warn, &text);
    }

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

    /// A callback has returned.
    #[inline]
    pub fn callback_returned(&mut self) {
        self.log_written();
        if self.written.lost_level.take().is_some() {
            self.written.lost.clear();
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
        let output = std::mem::take(&mut self.written.output);
        let error = std::mem::take(&mut self.written.error);
        for (level, text) in [(LogLevel::Info, output), (LogLevel::Error, error)] {
            let logged = self.log_lines(level, &text);
            if logged < text.len() {
                self.log(level, &text[logged..]);
            }
        }
    }

    /// The guest has died: what it wrote to standard error in its last callback is one record. Of that, and of lines that were
    /// lost before, the start is logged whatever the plugin may still log.
    pub fn log_last_words(&mut self) {
        let error = std::mem::take(&mut self.written.error);
        self.log_written();
        let lost = std::mem::take(&mut self.written.lost);
        if let Some(level) = self.written.lost_level.take() {
            self.log_in_any_case(level, &lost);
        }
        let error = error.strip_suffix(b"\n").unwrap_or(&error);
        if error.is_empty() {
            return;
        }
        let plugin = self.plugin();
        let allowance = plugin.map_or(&self.starting_log, |plugin| &plugin.log);
        let len = match allowance.pay(error.len(), self.spec.limits.log) {
            true => error.len(),
            false => error.len().min(limits::LAST_WORDS),
        };
        self.log_in_any_case(LogLevel::Error, &error[..len]);
    }

    fn log_in_any_case(&self, level: LogLevel, line: &[u8]) {
        let name = self.plugin().map(|plugin| plugin.spec.name.as_str());
        if self.services.keeps(level, name) {
            self.services.log(level, name, line);
        }
    }

    /// Logs the whole lines of `text`; the number of bytes that they are.
    fn log_lines(&mut self, level: LogLevel, text: &[u8]) -> usize {
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
