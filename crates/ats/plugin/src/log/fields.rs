//! The line that an event becomes: `<mark><message> key=value …`.

use std::ffi::CString;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::line::{Line, MAX_LINE, start_of};

/// The line of an event.
pub(super) fn line(event: &Event<'_>) -> CString {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut line = Line::default();
    // A line only fails to be written to once it is full.
    let _ = fields.write(*event.metadata().level(), &mut line);
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
        let bare = is_quoted(value) || !(value.is_empty() || value.chars().any(needs_quotes));
        let _ = if bare {
            write!(self.others, " {}={value}", field.name())
        } else {
            write!(self.others, " {}={value:?}", field.name())
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

/// The start of a text, as much as a line can hold.
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

fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '=')
}

/// True for a text that is between quotes already, as `{:?}` makes it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_not_doubled() {
        assert!(is_quoted(r#""a b""#) && is_quoted(r#""a \" b""#) && is_quoted(r#""""#));
        for open in [r#""a" "b""#, r#"""#, r#""a\""#, "a", ""] {
            assert!(!is_quoted(open), "{open}");
        }
    }
}
