//! Lines that a guest logs, by the hostcall or through its standard streams.
//!
//! Each line is paid for from the plugin's allowance, before anything is copied; lines beyond are lost. The last lines that
//! were lost in a callback are kept until it returns, so that they can tell why a guest has died.

use weir_abi::{LogLevel, limits};
use weir_engine::ByteSize;

use super::state::ProxyWasmState;

/// The last lines that were lost in a callback.
#[derive(Default)]
pub(crate) struct Losses {
    /// No more than [`KEPT_LOSSES`].
    lines: Vec<u8>,
    /// The level of the last line.
    level: Option<LogLevel>,
}

/// Bytes of lost lines that are kept until the callback returns.
const KEPT_LOSSES: usize = 4 << 10;

impl Losses {
    /// Keeps a line that was lost.
    fn keep(&mut self, level: LogLevel, line: &[u8]) {
        let line = &line[..line.len().min(KEPT_LOSSES)];
        if self.lines.len() + 1 + line.len() > KEPT_LOSSES {
            self.lines.clear();
        }
        if !self.lines.is_empty() {
            self.lines.push(b'\n');
        }
        self.lines.extend_from_slice(line);
        self.level = Some(level);
    }

    /// The callback has returned.
    #[inline]
    pub fn forget(&mut self) {
        if self.level.take().is_some() {
            self.lines.clear();
        }
    }
}

impl ProxyWasmState {
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
            self.losses.keep(level, line);
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

    /// The guest has died: what it wrote to standard error in its last callback is one record. Of that, and of lines that were
    /// lost before, the start is logged whatever the plugin may still log.
    pub fn log_last_words(&mut self, error: &[u8]) {
        let lost = std::mem::take(&mut self.losses.lines);
        if let Some(level) = self.losses.level.take() {
            self.log_in_any_case(level, &lost);
        }
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
}
