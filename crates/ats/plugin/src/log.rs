//! Everything that is logged through `tracing`, in the server's log.
//!
//! Warnings go to `diags.log`, errors to `error.log` as well, both always: `[wasm] <message> key=value …`. What is below
//! them is debug output under the tag `wasm` (`proxy.config.diags.debug.tags`), and costs one look at that tag while it is
//! off. Guests' lines are events like any other, of the target `guest`; a critical one has a mark. Of other people's crates
//! only warnings and errors are shown.

use std::ffi::CString;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use weir_abi::LogLevel;
use weir_ats_sys::DebugTag;

/// Most bytes of a line. The server cuts lines of its own `error.log` at 16 KiB.
const MAX_LINE: usize = 8 << 10;

/// What a line that was cut ends with.
const CUT: &str = "…";

/// The debug tag of the plugin.
static TAG: DebugTag = DebugTag::new(c"wasm");

/// Sends all events of the process to the server's log. Can be called again, which changes nothing.
pub(crate) fn install() {
    // Somebody else's subscriber can only be our own from an earlier call.
    let _ = tracing::subscriber::set_global_default(ServerLog);
}

/// The lowest level that guests need to log.
pub(crate) fn log_level() -> LogLevel {
    if debug_is_on() {
        LogLevel::Trace
    } else {
        LogLevel::Warn
    }
}

fn debug_is_on() -> bool {
    weir_ats_sys::is_loaded() && TAG.on()
}

/// Writes events to the server's log. Spans are not kept.
struct ServerLog;

impl Subscriber for ServerLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            Interest::never()
        } else if *metadata.level() <= Level::WARN {
            Interest::always()
        } else if is_ours(metadata.target()) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN || debug_is_on()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if !weir_ats_sys::is_loaded() {
            return;
        }
        let level = *event.metadata().level();
        let line = line(level, &|visit| event.record(visit));
        if level == Level::ERROR {
            weir_ats_sys::TSError(&line);
        } else if level == Level::WARN {
            weir_ats_sys::TSWarning(&line);
        } else {
            TAG.print(&line);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Whether a target is one of our crates or a guest; this crate itself is called `wasm`.
fn is_ours(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or(target);
    krate == "guest" || krate == "wasm" || krate.starts_with("weir")
}

/// The line that an event becomes.
fn line(level: Level, record: &dyn Fn(&mut dyn Visit)) -> CString {
    let mut fields = Fields::default();
    record(&mut fields);
    let mut line = Line::default();
    // A line only fails to be written to once it is full.
    let _ = fields.write(level, &mut line);
    line.finish()
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: Line,
    others: Line,
    critical: bool,
}

impl Fields {
    fn write(&self, level: Level, line: &mut Line) -> fmt::Result {
        line.write_str(match level {
            Level::ERROR | Level::WARN => "[wasm] ",
            Level::INFO => "info: ",
            Level::DEBUG => "debug: ",
            Level::TRACE => "trace: ",
        })?;
        if self.critical {
            line.write_str("critical: ")?;
        }
        line.append(&self.message)?;
        line.append(&self.others)
    }

    /// Adds ` key=value`.
    fn add(&mut self, field: &Field, value: &str) {
        let others = &mut self.others;
        let _ = if is_quoted(value) {
            write!(others, " {}={value}", field.name())
        } else if value.is_empty() || value.chars().any(needs_quotes) {
            write!(others, " {}={value:?}", field.name())
        } else {
            write!(others, " {}={value}", field.name())
        };
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let mut text = Start(String::new());
            // Only fails once there is more than a line can hold.
            let _ = write!(text, "{value:?}");
            self.add(field, &text.0);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            let _ = self.message.write_str(value);
        } else {
            self.add(field, start_of(value, MAX_LINE));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "critical" {
            self.critical = value;
        } else {
            self.record_debug(field, &value);
        }
    }
}

/// As much of a text as a line can hold.
struct Start(String);

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = start_of(text, MAX_LINE.saturating_sub(self.0.len()));
        self.0.push_str(start);
        if start.len() < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

fn start_of(text: &str, len: usize) -> &str {
    text.get(..text.floor_char_boundary(len)).unwrap_or_default()
}

fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '=')
}

/// Whether a value is a text between quotes already, as `{:?}` makes it.
fn is_quoted(value: &str) -> bool {
    let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '\\' if chars.next().is_none() => return false,
            _ => {}
        }
    }
    true
}

/// Text of limited length without control characters.
#[derive(Default)]
struct Line {
    text: String,
    cut: bool,
}

impl Line {
    /// Adds what has no control characters any more.
    fn append(&mut self, other: &Self) -> fmt::Result {
        other.text.chars().try_for_each(|c| self.push(c))?;
        if other.cut {
            self.cut = true;
            return Err(fmt::Error);
        }
        Ok(())
    }

    fn push(&mut self, c: char) -> fmt::Result {
        if self.cut || self.text.len() + c.len_utf8() > MAX_LINE {
            self.cut = true;
            return Err(fmt::Error);
        }
        self.text.push(c);
        Ok(())
    }

    fn finish(mut self) -> CString {
        if self.cut {
            while self.text.len() + CUT.len() > MAX_LINE {
                self.text.pop();
            }
            self.text.push_str(CUT);
        }
        // There is no NUL in it: that is a control character.
        CString::new(self.text).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if c.is_control() {
                c.escape_debug().try_for_each(|c| self.push(c))
            } else {
                self.push(c)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps the lines instead of printing them.
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let line = line(*event.metadata().level(), &|visit| event.record(visit));
            self.0
                .lock()
                .expect("nobody panics")
                .push(line.into_string().expect("text"));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn lines(events: impl FnOnce()) -> Vec<String> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Kept(Arc::clone(&kept)), events);
        std::mem::take(&mut *kept.lock().expect("nobody panics"))
    }

    #[test]
    fn records_carry_level_target_and_fields() {
        let path = std::path::Path::new("/etc/a b.wasm");
        let lines = lines(|| {
            tracing::warn!(file = "a.yaml", count = 3, "a module is \"broken\"");
            tracing::error!(error = %"no such file", path = ?path, empty = "", "failed");
            tracing::error!(target: "guest", plugin = "p", module = "m", critical = true, "{}", "the end");
            tracing::info!(ok = true, "up");
            tracing::debug!("100 %s");
            tracing::trace!(x = "a=b", "t");
        });
        assert_eq!(
            lines,
            [
                "[wasm] a module is \"broken\" file=a.yaml count=3",
                "[wasm] failed error=\"no such file\" path=\"/etc/a b.wasm\" empty=\"\"",
                "[wasm] critical: the end plugin=p module=m",
                "info: up ok=true",
                "debug: 100 %s",
                "trace: t x=\"a=b\"",
            ]
        );
    }

    #[test]
    fn control_characters_begin_no_new_line() {
        let lines = lines(|| {
            tracing::warn!(value = "a\nb", bell = "\u{7}", shown = %"c\td", "one\ntwo\r\0\u{1b}[31m\ttab");
        });
        assert_eq!(
            lines,
            ["[wasm] one\\ntwo\\r\\0\\u{1b}[31m\\ttab value=\"a\\nb\" bell=\"\\u{7}\" shown=\"c\\td\""]
        );
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        for text in ["ä".repeat(MAX_LINE), "x".repeat(1 << 20), "\n".repeat(MAX_LINE)] {
            let lines = lines(|| {
                tracing::warn!(after = 1, "{text}");
                tracing::warn!(value = text, "a value");
            });
            for line in lines {
                assert!(
                    line.len() <= MAX_LINE && line.len() > MAX_LINE - 8,
                    "{}",
                    line.len()
                );
                assert!(line.ends_with(CUT), "{}", line.len());
            }
        }
        let exact = "x".repeat(MAX_LINE - "[wasm] ".len());
        assert!(!lines(|| tracing::warn!("{exact}"))[0].ends_with(CUT));
    }

    #[test]
    fn quotes_are_not_doubled() {
        assert!(is_quoted(r#""a b""#) && is_quoted(r#""a \" b""#) && is_quoted(r#""""#));
        for open in [r#""a" "b""#, r#"""#, r#""a\""#, "a", ""] {
            assert!(!is_quoted(open), "{open}");
        }
    }

    #[test]
    fn weirs_own_targets_are_told_apart() {
        for ours in ["guest", "wasm", "wasm::vm", "weir_host::vm", "weir_ats"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["hyper::proto", "wasmtime", "guests", "wasmi"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
