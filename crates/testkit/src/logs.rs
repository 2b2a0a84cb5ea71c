//! Lines that a process writes, as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The lines that a process has written to one of its outputs so far.
#[derive(Default)]
pub struct Logs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<LogLine>,
    ended: bool,
}

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// As it was written.
    pub text: String,
    /// The same as JSON; null where it is none. A line of the plugin in Traffic Server's log becomes `level` and `message`.
    pub json: Value,
}

impl LogLine {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text)
            .ok()
            .or_else(|| plugin_line(&text))
            .unwrap_or(Value::Null);
        Self { text, json }
    }

    /// A text field, at the top or among `fields`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.json
            .get(name)
            .or_else(|| self.json.get("fields")?.get(name))?
            .as_str()
    }

    /// The level, in lower case; empty where there is none.
    pub fn level(&self) -> String {
        self.field("level").unwrap_or_default().to_ascii_lowercase()
    }

    /// The message; the whole line where there is none.
    pub fn message(&self) -> &str {
        self.field("message").unwrap_or(&self.text)
    }
}

impl Logs {
    /// Reads `source` to its end on a thread of its own.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Arc<Self> {
        let logs = Arc::new(Self::default());
        let kept = Arc::clone(&logs);
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while matches!(source.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                kept.lock().lines.push(LogLine::new(text));
                kept.changed.notify_all();
            }
            kept.lock().ended = true;
            kept.changed.notify_all();
        });
        logs
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<LogLine> {
        self.lock().lines.clone()
    }

    /// Waits until `find` finds something in the lines so far; `None` when the output has ended or time is up.
    pub fn wait<T>(&self, patience: Duration, mut find: impl FnMut(&[LogLine]) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&state.lines) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for a line whose message holds `text`.
    pub fn wait_for(&self, text: &str) -> Option<LogLine> {
        self.wait(crate::PATIENCE, |lines| {
            lines.iter().find(|line| line.text.contains(text)).cloned()
        })
    }

    /// All lines as one text, for messages of failed tests.
    pub fn text(&self) -> String {
        self.lock()
            .lines
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plugin's lines in Traffic Server's log: warnings and errors in the server's own form, everything less as debug
/// output.
///
/// ```text
/// [Nov 25 22:41:07.222] [ET_NET 0] WARNING: [wasm] message key=value
/// [Nov 25 22:41:07.222] [ET_NET 0] ERROR: [wasm] critical: message key=value
/// [Nov 25 22:41:07.222] [ET_NET 0] DIAG: (wasm) info: message key=value
/// ```
fn plugin_line(text: &str) -> Option<Value> {
    // The first marker is the server's; a message may hold others.
    let at = |marker: &str| text.find(marker).map(|start| (start, start + marker.len()));
    let markers = [
        (at(" WARNING: [wasm] "), "warn"),
        // A level that the ABI calls critical is an error in any log.
        (at(" ERROR: [wasm] "), "error"),
        (at(" DIAG: "), ""),
    ];
    let found = markers
        .into_iter()
        .filter_map(|(at, level)| at.map(|at| (at, level)));
    let ((_, end), level) = found.min_by_key(|((start, _), _)| *start)?;
    let rest = text.get(end..)?;
    let (level, message) = match level {
        "" => {
            let (_, rest) = rest.split_once("(wasm) ")?;
            rest.split_once(": ")
                .filter(|(level, _)| ["info", "debug", "trace"].contains(level))?
        }
        level => (level, rest),
    };
    Some(json!({ "level": level, "message": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_either_proxy_are_read() {
        for (text, level, message) in [
            (r#"{"level":"WARN","message":"x","plugin":"p"}"#, "warn", "x"),
            (
                "[Nov 25 22:41:07.222] [ET_NET 0] WARNING: [wasm] x ERROR: [wasm] y key=1",
                "warn",
                "x ERROR: [wasm] y key=1",
            ),
            (
                "[Nov 25 22:41:07.222] traffic_server ERROR: [wasm] critical: x plugin=\"a b\"",
                "error",
                "critical: x plugin=\"a b\"",
            ),
            (
                "[Nov 25 22:41:07.222] [ET_NET 0] DIAG: (wasm) info: x: y",
                "info",
                "x: y",
            ),
            (
                "[Nov 25 22:41:07.222] [ET_NET 0] DIAG: <host.rs:1 (log)> (wasm) trace: x",
                "trace",
                "x",
            ),
        ] {
            let line = LogLine::new(text.to_owned());
            assert_eq!((line.level().as_str(), line.message()), (level, message));
        }
        let line = LogLine::new("[Nov 25 22:41:07.222] traffic_server NOTE: x".to_owned());
        assert_eq!((line.level().as_str(), line.message()), ("", line.text.as_str()));
    }
}
