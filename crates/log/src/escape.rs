//! Control characters inside of a line, which would begin a forged one or steer a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The spelling of escaped characters in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// As JSON does: `\u0085`.
    Json,
    /// As Rust does: `\n`, `\u{85}`.
    Text,
    /// As [`LineFormat::Text`], but ESC stays: the colours are ours, and an ESC of the message has been escaped before.
    Colours,
}

/// A line, of which a line break at the end is kept, with all other control characters and line separators escaped.
/// Borrowed where there are none, as is the rule.
pub fn escape_controls(line: &[u8], format: LineFormat) -> Cow<'_, [u8]> {
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    // The first bytes of control characters and, beside many others, of U+0080 to U+009F, U+2028 and U+2029.
    let suspicious = |byte: &u8| *byte < 0x20 || matches!(*byte, 0x7f | 0xc2 | 0xe2);
    if !content.iter().any(suspicious) {
        return Cow::Borrowed(line);
    }
    let text = String::from_utf8_lossy(content);
    if !text.chars().any(|c| is_escaped(c, format)) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 64);
    for c in text.chars() {
        if !is_escaped(c, format) {
            escaped.push(c);
        } else if format == LineFormat::Json {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.extend(c.escape_debug());
        }
    }
    escaped.push_str(if content.len() < line.len() { "\n" } else { "" });
    Cow::Owned(escaped.into_bytes())
}

fn is_escaped(c: char, format: LineFormat) -> bool {
    let ours = c == '\u{1b}' && format == LineFormat::Colours;
    (c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) && !ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_no_control_characters() {
        let line = "a\nb\rc\td\u{1b}[31m \u{7f}\u{85}\u{9b}31m\u{2028}\u{2029} ä € “end”\n".as_bytes();
        let text = |format| String::from_utf8(escape_controls(line, format).into_owned()).unwrap_or_default();
        assert_eq!(
            text(LineFormat::Text),
            "a\\nb\\rc\\td\\u{1b}[31m \\u{7f}\\u{85}\\u{9b}31m\\u{2028}\\u{2029} ä € “end”\n"
        );
        assert_eq!(
            text(LineFormat::Json),
            "a\\u000ab\\u000dc\\u0009d\\u001b[31m \\u007f\\u0085\\u009b31m\\u2028\\u2029 ä € “end”\n"
        );
        assert!(text(LineFormat::Colours).contains("d\u{1b}[31m \\u{7f}"));
    }

    #[test]
    fn plain_lines_are_not_copied() {
        for line in ["plain\n", "\n", "", "ä € “quoted”\n", "\u{a0}no break\n"] {
            let escaped = escape_controls(line.as_bytes(), LineFormat::Text);
            assert!(
                matches!(escaped, Cow::Borrowed(kept) if kept == line.as_bytes()),
                "{line:?}"
            );
        }
    }
}
