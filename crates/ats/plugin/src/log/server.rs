//! The way to the server's log: its functions block while they write, so a thread of the log's own calls them.

use std::ffi::{CStr, c_int, c_void};
use std::fmt::Write;
use std::io;
use std::sync::OnceLock;

use tracing::Level;
use weir_ats_sys::{
    DebugTag, TS_EVENT_LIFECYCLE_SHUTDOWN, TS_LIFECYCLE_SHUTDOWN_HOOK, TSCont, TSContCreate, TSEvent,
    TSLifecycleHookAdd, TSMutexCreate,
};
use weir_log::{LogWriter, Sink, Unwritten};

use super::Output;
use super::line::Line;
use crate::guard;

/// The debug tag of the plugin.
static TAG: DebugTag = DebugTag::new(c"wasm");

static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// The function of the server that writes a line, as the byte before its text.
const ERROR: u8 = b'E';
const WARNING: u8 = b'W';
const NOTE: u8 = b'N';
const DEBUG: u8 = b'D';

/// The log of the server, through a buffer.
pub(super) struct ServerLog;

impl ServerLog {
    /// Starts the thread, once.
    pub fn start() -> io::Result<Self> {
        if WRITER.get().is_none() {
            let writer = LogWriter::start("the server's log", Functions { introduced: false })?;
            if let Err(second) = WRITER.set(writer) {
                second.finish();
            }
        }
        Ok(Self)
    }
}

impl Output for ServerLog {
    fn takes_debug(&self) -> bool {
        debug_is_on()
    }

    fn print(&self, level: Level, line: &CStr) {
        push(
            match level {
                Level::ERROR => ERROR,
                Level::WARN => WARNING,
                _ => DEBUG,
            },
            line,
        );
    }
}

/// True while debug output of the plugin is wanted.
pub(super) fn debug_is_on() -> bool {
    weir_ats_sys::is_loaded() && TAG.on()
}

/// Writes a line of level NOTE, which the server always logs.
pub(crate) fn note(text: &str) {
    let mut line = Line::default();
    // A line only fails to be written to once it is full.
    let _ = write!(line, "[wasm] {text}");
    push(NOTE, &line.finish());
}

/// True once lines get to the server's log.
pub(super) fn has_begun() -> bool {
    WRITER.get().is_some()
}

/// Waits until the lines so far are in the server's log, for a bounded time. Not for threads that serve.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush();
    }
}

/// Has the last lines written before the server ends.
pub(crate) fn follow_end() {
    // SAFETY: the handler and the new mutex fit, and the continuation lives as long as the process.
    unsafe { TSLifecycleHookAdd(TS_LIFECYCLE_SHUTDOWN_HOOK, TSContCreate(on_end, TSMutexCreate())) };
}

unsafe extern "C" fn on_end(_cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    guard::event(|| {
        if event == TS_EVENT_LIFECYCLE_SHUTDOWN
            && let Some(writer) = WRITER.get()
        {
            // The server takes its log down next, and nobody may write to it meanwhile.
            writer.finish();
        }
    })
}

/// A line as it waits: the byte of where it goes, its text, NUL, a line break. The text has none of these two.
fn push(to: u8, line: &CStr) {
    if let Some(writer) = WRITER.get() {
        writer.push_parts(&[&[to], line.to_bytes_with_nul(), b"\n"]);
    }
}

/// The server's functions, called by the log's thread alone.
struct Functions {
    introduced: bool,
}

impl Sink for Functions {
    fn write(&mut self, lines: &[u8], moved: &mut dyn FnMut()) -> Result<(), Unwritten> {
        if !std::mem::replace(&mut self.introduced, true) {
            // SAFETY: makes this thread one that the server knows; it logs and asks nothing else of the server.
            unsafe { weir_ats_sys::TSThreadInit() };
        }
        for (to, text) in waiting(lines) {
            match to {
                ERROR => weir_ats_sys::TSError(text),
                WARNING => weir_ats_sys::TSWarning(text),
                NOTE => weir_ats_sys::TSNote(text),
                _ => TAG.print(text),
            }
            moved();
        }
        Ok(())
    }
}

/// The lines that wait in a buffer.
fn waiting(lines: &[u8]) -> impl Iterator<Item = (u8, &CStr)> {
    lines.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        let (to, text) = line.split_first()?;
        Some((*to, CStr::from_bytes_until_nul(text).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_with_where_they_go() {
        let buffer = b"E[wasm] one\0\nDtwo\0\nW\0\n";
        let lines: Vec<_> = waiting(buffer).collect();
        assert_eq!(lines, [(ERROR, c"[wasm] one"), (DEBUG, c"two"), (WARNING, c"")]);
    }
}
