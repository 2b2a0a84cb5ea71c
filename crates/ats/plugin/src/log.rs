//! The log: a layer of `tracing-subscriber` that writes events to the server's log.
//!
//! Warnings go to `diags.log`, errors to `error.log` as well, both always: `[wasm] <message> key=value …`. Events below
//! them are debug output under the tag `wasm` (`proxy.config.diags.debug.tags`), and cost one look at that tag while it is
//! off. Guests' lines are events like any other, of the target `guest`; a critical one has a mark. Other people's crates
//! write only warnings and errors. All of them wait in a bounded buffer for a thread that calls the server.

mod fields;
mod line;
mod server;

use std::ffi::{CStr, CString};
use std::io;

use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, registry};
use weir_abi::{LogLevel, log_target};

use self::server::ServerLog;
pub(crate) use self::server::{flush, follow_end, note};

/// Sends all events of the process to the server's log. A second call changes nothing.
pub(crate) fn install() -> io::Result<()> {
    let log = ServerLog::start()?;
    // Another global subscriber can only be our own from an earlier call.
    let _ = tracing::subscriber::set_global_default(registry().with(Lines(log)));
    Ok(())
}

/// Logs an error of a load, however far that has come: to the server's log, or where that is not there yet to standard error.
pub(crate) fn report(error: &str) {
    if server::has_begun() {
        tracing::error!("{error}");
    } else if weir_ats_sys::is_loaded() {
        let text = format!("[wasm] {error}").replace('\0', " ");
        weir_ats_sys::TSError(&CString::new(text).unwrap_or_default());
    } else {
        eprintln!("{error}");
    }
}

/// The lowest level that guests need to log.
pub(crate) fn log_level() -> LogLevel {
    if server::debug_is_on() {
        LogLevel::Trace
    } else {
        LogLevel::Warn
    }
}

/// Takes the lines of the log.
trait Output: 'static {
    /// True if lines below a warning are wanted at the moment.
    fn takes_debug(&self) -> bool;

    /// Writes a line.
    fn print(&self, level: Level, line: &CStr);
}

/// Makes each event a line of an output. Spans are not kept.
struct Lines<O>(O);

impl<O: Output, S: Subscriber> Layer<S> for Lines<O> {
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

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::WARN || (is_ours(metadata.target()) && self.0.takes_debug())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.print(*event.metadata().level(), &fields::line(event));
    }
}

/// True for the target of a guest or of one of our crates; this crate itself is called `wasm`.
fn is_ours(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or(target);
    krate == log_target::GUEST || krate == "wasm" || krate.starts_with("weir")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::line::{CUT, MAX_LINE};
    use super::*;

    /// Keeps the lines instead of printing them.
    #[derive(Clone, Default)]
    struct Kept {
        lines: Arc<Mutex<Vec<String>>>,
        debug: bool,
    }

    impl Output for Kept {
        fn takes_debug(&self) -> bool {
            self.debug
        }

        fn print(&self, _: Level, line: &CStr) {
            let line = line.to_str().expect("text").to_owned();
            self.lines.lock().expect("nobody panics").push(line);
        }
    }

    /// The lines of events while debug output is on.
    fn lines(events: impl FnOnce()) -> Vec<String> {
        lines_with(true, events)
    }

    fn lines_with(debug: bool, events: impl FnOnce()) -> Vec<String> {
        let kept = Kept {
            debug,
            ..Kept::default()
        };
        let subscriber = registry().with(Lines(kept.clone()));
        tracing::subscriber::with_default(subscriber, events);
        std::mem::take(&mut *kept.lines.lock().expect("nobody panics"))
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
    fn only_weir_writes_debug_output_and_only_while_it_is_on() {
        let events = || {
            tracing::info_span!("a span").in_scope(|| tracing::info!("ours"));
            tracing::info!(target: "hyper::proto", "theirs");
            tracing::warn!(target: "hyper::proto", "their warning");
        };
        assert_eq!(lines_with(true, events), ["info: ours", "[wasm] their warning"]);
        assert_eq!(lines_with(false, events), ["[wasm] their warning"]);
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
