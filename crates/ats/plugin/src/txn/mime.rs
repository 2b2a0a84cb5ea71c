//! A message head in the server's own memory.

use std::ffi::{c_char, c_int};

use smallvec::SmallVec;
use weir_ats_sys::{
    TS_SUCCESS, TSHandleMLocRelease, TSHttpHdrMethodGet, TSHttpHdrMethodSet, TSHttpHdrReasonSet,
    TSHttpHdrStatusGet, TSHttpHdrStatusSet, TSHttpHdrUrlGet, TSMBuffer, TSMLoc, TSMimeHdrFieldAppend,
    TSMimeHdrFieldCopy, TSMimeHdrFieldCreate, TSMimeHdrFieldCreateNamed, TSMimeHdrFieldDestroy,
    TSMimeHdrFieldFind, TSMimeHdrFieldGet, TSMimeHdrFieldNameGet, TSMimeHdrFieldNext, TSMimeHdrFieldNextDup,
    TSMimeHdrFieldValueStringGet, TSMimeHdrFieldValueStringSet, TSMimeHdrFieldsCount,
};
use weir_http_rules::status;

use super::well_known::{Name, names};

/// Most bytes that one value may have; the server keeps lengths of strings in 16 bits in some places.
const MAX_VALUE: usize = 60 << 10;

/// A message head in a transaction's memory. Valid while the transaction holds the message; see [`super::messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    buffer: TSMBuffer,
    loc: TSMLoc,
}

/// A field of a head, or one that has been made for it and is not part of it yet. Released when dropped.
pub(super) struct Field {
    head: Head,
    loc: TSMLoc,
}

impl Drop for Field {
    fn drop(&mut self) {
        // SAFETY: the location was given out for this head and is released once.
        unsafe { TSHandleMLocRelease(self.head.buffer, self.head.loc, self.loc) };
    }
}

impl Field {
    fn name(&self) -> &[u8] {
        let mut len: c_int = 0;
        // SAFETY: the field belongs to this head.
        let text = unsafe { TSMimeHdrFieldNameGet(self.head.buffer, self.head.loc, self.loc, &mut len) };
        bytes(text, len)
    }

    fn value(&self) -> &[u8] {
        let mut len: c_int = 0;
        // SAFETY: the field belongs to this head; -1 asks for the whole line.
        let text =
            unsafe { TSMimeHdrFieldValueStringGet(self.head.buffer, self.head.loc, self.loc, -1, &mut len) };
        bytes(text, len)
    }

    /// Sets the value; whether that was possible.
    pub fn set(&self, value: &[u8]) -> bool {
        let (buffer, head) = (self.head.buffer, self.head.loc);
        // SAFETY: the field belongs to this head; the value is copied.
        unsafe {
            TSMimeHdrFieldValueStringSet(
                buffer,
                head,
                self.loc,
                -1,
                value.as_ptr().cast(),
                value.len() as c_int,
            ) == TS_SUCCESS
        }
    }

    fn next(&self) -> Option<Self> {
        // SAFETY: the field belongs to this head.
        let loc = unsafe { TSMimeHdrFieldNext(self.head.buffer, self.head.loc, self.loc) };
        self.head.field(loc)
    }

    fn next_of_name(&self) -> Option<Self> {
        // SAFETY: the field belongs to this head.
        let loc = unsafe { TSMimeHdrFieldNextDup(self.head.buffer, self.head.loc, self.loc) };
        self.head.field(loc)
    }

    fn destroy(self) {
        // SAFETY: the field belongs to this head; its handle is released by the drop that follows.
        unsafe { TSMimeHdrFieldDestroy(self.head.buffer, self.head.loc, self.loc) };
    }
}

impl Head {
    /// A head from a getter of the transaction that fills in both halves and says whether the message exists.
    ///
    /// # Safety
    ///
    /// Both belong together, and the message exists for as long as the value is used.
    #[inline]
    pub unsafe fn from_getter(get: impl FnOnce(&mut TSMBuffer, &mut TSMLoc) -> bool) -> Option<Self> {
        let (mut buffer, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL);
        (get(&mut buffer, &mut loc) && !buffer.is_null() && !loc.is_null()).then_some(Self { buffer, loc })
    }

    #[inline]
    fn field(self, loc: TSMLoc) -> Option<Field> {
        // Not `then_some`: dropping a field tells the server.
        (!loc.is_null()).then(|| Field { head: self, loc })
    }

    #[inline]
    fn find(self, name: &[u8]) -> Option<Field> {
        // SAFETY: the head is valid (`Head::from_getter`).
        let loc =
            unsafe { TSMimeHdrFieldFind(self.buffer, self.loc, name.as_ptr().cast(), name.len() as c_int) };
        self.field(loc)
    }

    #[inline]
    fn find_known(self, name: Name) -> Option<Field> {
        // SAFETY: the head is valid (`Head::from_getter`).
        let loc = unsafe { TSMimeHdrFieldFind(self.buffer, self.loc, name.as_ptr(), name.len()) };
        self.field(loc)
    }

    fn first(self) -> Option<Field> {
        // SAFETY: the head is valid (`Head::from_getter`).
        if unsafe { TSMimeHdrFieldsCount(self.buffer, self.loc) } <= 0 {
            return None;
        }
        // SAFETY: the head is valid (`Head::from_getter`), and has a field number 0, for it has one at least.
        let loc = unsafe { TSMimeHdrFieldGet(self.buffer, self.loc, 0) };
        self.field(loc)
    }

    /// Number of field lines.
    pub fn lines(self) -> usize {
        // SAFETY: the head is valid (`Head::from_getter`).
        usize::try_from(unsafe { TSMimeHdrFieldsCount(self.buffer, self.loc) }).unwrap_or(0)
    }

    /// Number of lines of a name that the server knows.
    pub fn lines_of(self, name: Name) -> usize {
        let mut count = 0;
        let mut field = self.find_known(name);
        while let Some(found) = field {
            count += 1;
            field = found.next_of_name();
        }
        count
    }

    /// Appends the value of the first line of a name to `out`; whether there is one.
    pub fn value(self, name: &[u8], out: &mut Vec<u8>) -> bool {
        match self.find(name) {
            Some(field) => {
                out.extend_from_slice(field.value());
                true
            }
            None => false,
        }
    }

    /// The value of the first line of a name, looked at by `look`.
    pub fn with_value<R>(self, name: Name, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.find_known(name).map(|field| look(field.value()))
    }

    /// True if there is a line of a name.
    pub fn has(self, name: Name) -> bool {
        self.find_known(name).is_some()
    }

    /// Shows each line in order, names in lower case.
    pub fn visit(self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let mut lower: SmallVec<[u8; 64]> = SmallVec::new();
        let mut field = self.first();
        while let Some(found) = field {
            lower.clear();
            lower.extend(found.name().iter().map(u8::to_ascii_lowercase));
            visit(&lower, found.value());
            field = found.next();
        }
    }

    /// Appends a line; whether that was possible.
    pub fn add(self, name: &[u8], value: &[u8]) -> bool {
        let field = self.create(name);
        field.is_some_and(|field| field.set(value) && self.append(&field))
    }

    /// Makes a field that is not part of the head yet.
    pub(super) fn create(self, name: &[u8]) -> Option<Field> {
        let (text, len) = (name.as_ptr().cast(), name.len() as c_int);
        let mut loc = TSMLoc::NULL;
        // SAFETY: the head is valid (`Head::from_getter`); the name is copied.
        let made = unsafe { TSMimeHdrFieldCreateNamed(self.buffer, self.loc, text, len, &mut loc) };
        self.field(loc).filter(|_| made == TS_SUCCESS)
    }

    /// Makes a field that is not part of the head yet, with the name and value of another.
    pub(super) fn copy(self, other: &Field) -> Option<Field> {
        let mut loc = TSMLoc::NULL;
        // SAFETY: the head is valid (`Head::from_getter`).
        let made = unsafe { TSMimeHdrFieldCreate(self.buffer, self.loc, &mut loc) };
        let field = self.field(loc).filter(|_| made == TS_SUCCESS)?;
        let (buffer, head) = (other.head.buffer, other.head.loc);
        // SAFETY: both heads are valid, and each field belongs to its own.
        let copied = unsafe { TSMimeHdrFieldCopy(self.buffer, self.loc, loc, buffer, head, other.loc) };
        (copied == TS_SUCCESS).then_some(field)
    }

    /// Makes a field that was made for the head its last line; whether that was possible.
    pub(super) fn append(self, field: &Field) -> bool {
        // SAFETY: the head is valid (`Head::from_getter`); the field was made for it and has not been appended yet.
        unsafe { TSMimeHdrFieldAppend(self.buffer, self.loc, field.loc) == TS_SUCCESS }
    }

    /// Replaces all lines of a name by one, at the place of the first, or else appends it; whether that was possible.
    pub fn replace(self, name: &[u8], value: &[u8]) -> bool {
        let replaced = self.replace_lines(name, value);
        replaced.unwrap_or_else(|| self.add(name, value))
    }

    /// Replaces all lines of a name by one, at the place of the first, and says whether that was possible; `None` where there
    /// are none.
    pub fn replace_lines(self, name: &[u8], value: &[u8]) -> Option<bool> {
        let first = self.find(name)?;
        while let Some(other) = first.next_of_name() {
            other.destroy();
        }
        Some(first.set(value))
    }

    /// Removes all lines of a name.
    pub fn remove(self, name: &[u8]) {
        while let Some(field) = self.find(name) {
            field.destroy();
        }
    }

    /// Removes all lines of a name that the server knows.
    pub fn remove_known(self, name: Name) {
        while let Some(field) = self.find_known(name) {
            field.destroy();
        }
    }

    /// Removes the lines whose name (in lower case) `keep` refuses.
    pub fn retain(self, keep: impl Fn(&[u8]) -> bool) {
        self.retain_lines(|name, _| keep(name));
    }

    /// Removes the lines whose name (in lower case) and value `keep` refuses.
    pub fn retain_lines(self, keep: impl Fn(&[u8], &[u8]) -> bool) {
        let mut field = self.first();
        while let Some(found) = field {
            let next = found.next();
            if !keep(&found.name().to_ascii_lowercase(), found.value()) {
                found.destroy();
            }
            field = next;
        }
    }

    /// True if there is a line of a name.
    pub fn contains(self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// True if one of the lines of a name has this value.
    pub fn has_line(self, name: &[u8], value: &[u8]) -> bool {
        let mut field = self.find(name);
        while let Some(found) = field {
            if found.value() == value {
                return true;
            }
            field = found.next_of_name();
        }
        false
    }

    /// The method of a request.
    pub fn method(self) -> &'static [u8] {
        let mut len: c_int = 0;
        // SAFETY: the head is that of a request. The text is shortened to the callers' use: it is copied at once.
        let text = unsafe { TSHttpHdrMethodGet(self.buffer, self.loc, &mut len) };
        bytes(text, len)
    }

    /// Sets the method of a request.
    pub fn set_method(self, method: &[u8]) -> bool {
        // SAFETY: the head is that of a request; the text is copied.
        unsafe {
            TSHttpHdrMethodSet(
                self.buffer,
                self.loc,
                method.as_ptr().cast(),
                method.len() as c_int,
            ) == TS_SUCCESS
        }
    }

    /// The URL of a request.
    pub fn url(self) -> Option<super::url::Url> {
        let mut loc = TSMLoc::NULL;
        // SAFETY: the head is that of a request.
        let found = unsafe { TSHttpHdrUrlGet(self.buffer, self.loc, &mut loc) };
        (found == TS_SUCCESS && !loc.is_null()).then(|| super::url::Url::new(self.buffer, self.loc, loc))
    }

    /// The status of a response.
    pub fn status(self) -> u16 {
        // SAFETY: the head is that of a response.
        let status = unsafe { TSHttpHdrStatusGet(self.buffer, self.loc) };
        u16::try_from(status).unwrap_or(0)
    }

    /// Sets the status of a response, with the reason that belongs to it.
    pub fn set_status(self, code: u16) {
        let reason = status::reason_phrase(code);
        // SAFETY: the head is that of a response; the reason is copied.
        unsafe {
            TSHttpHdrStatusSet(self.buffer, self.loc, c_int::from(code));
            TSHttpHdrReasonSet(
                self.buffer,
                self.loc,
                reason.as_ptr().cast(),
                reason.len() as c_int,
            );
        }
    }

    /// True if `content-length` says that there is no body.
    pub fn is_empty(self) -> bool {
        let zero = |value: &[u8]| match value {
            // Every other length begins with these digits.
            [b'1'..=b'9', ..] => false,
            value => number(value) == Some(0),
        };
        self.with_value(names().content_length, zero).unwrap_or(false)
    }

    /// Length that `content-length` gives.
    pub fn content_length(self) -> Option<u64> {
        self.with_value(names().content_length, number)?
    }
}

/// The number that a value is.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let add = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

/// True if a name can stand in a head of the server's.
pub(crate) fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_VALUE && weir_http_rules::names::is_token(name)
}

/// True if a value can stand in a head of the server's.
pub(crate) fn is_value(value: &[u8]) -> bool {
    value.len() <= MAX_VALUE && weir_http_rules::names::is_value(value)
}

/// The bytes that the server gave as text and length. The lifetime is the caller's to keep short: until the head is changed.
pub(crate) fn bytes<'a>(text: *const c_char, len: c_int) -> &'a [u8] {
    match usize::try_from(len) {
        // SAFETY: the server's getters give a text of this length, which stays where it is until the head is changed; all
        // callers copy it before that.
        Ok(len) if len > 0 && !text.is_null() => unsafe { std::slice::from_raw_parts(text.cast(), len) },
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_digits() {
        assert_eq!(number(b" 042 "), Some(42));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for value in [
            &b""[..],
            b" ",
            b"1 2",
            b"-1",
            b"+1",
            b"1.0",
            b"18446744073709551616",
        ] {
            assert_eq!(number(value), None, "{value:?}");
        }
    }

    #[test]
    fn names_are_tokens_and_values_hold_no_controls() {
        assert!(is_name(b"x-weir_1"));
        for name in [&b""[..], b"a b", b"a:b", b"\xff", b"a\n"] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_value(b""));
        assert!(is_value(b"a\tb \xff"));
        for value in [&b"a\r"[..], b"a\nb", b"\0", b"\x7f"] {
            assert!(!is_value(value), "{value:?}");
        }
        assert!(!is_value(&vec![b'a'; MAX_VALUE + 1]));
    }
}
