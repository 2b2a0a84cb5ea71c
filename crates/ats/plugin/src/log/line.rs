//! Text of a line in the server's log.

use std::ffi::CString;
use std::fmt::{self, Write};

/// Most bytes of a line. The server cuts lines of its own `error.log` at 16 KiB.
pub(super) const MAX_LINE: usize = 8 << 10;

/// The end of a line that was cut.
pub(super) const CUT: &str = "…";

/// Text of limited length without control characters.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    cut: bool,
}

impl Line {
    /// Adds the text of another line, which has no control characters any more.
    pub fn append(&mut self, other: &Self) -> fmt::Result {
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

    /// The line for the server, with a mark at its end if it was cut.
    pub fn finish(mut self) -> CString {
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

/// The first `len` bytes of a text, or fewer where a character would be cut.
pub(super) fn start_of(text: &str, len: usize) -> &str {
    text.get(..text.floor_char_boundary(len)).unwrap_or_default()
}
