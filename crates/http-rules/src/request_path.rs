//! The path of a request as it was written, and as it is sent.

use std::fmt::Write;

use http::uri::PathAndQuery;

/// A path with its query. Bytes that RFC 3986 has no place for, and that clients send all the same (`"`, `<`, `>`, the
/// backtick and bytes beyond ASCII), stay in what filters see; the origin gets them percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath {
    sent: PathAndQuery,
    /// The path as it was written, where that differs from `sent`.
    written: Option<Box<[u8]>>,
}

impl RequestPath {
    /// The path `/`.
    pub fn root() -> Self {
        PathAndQuery::from_static("/").into()
    }

    /// Reads a path with its query, or `*`. Refused are white space, control characters, and a fragment, which is never sent.
    /// Copies the path, twice where bytes have to be encoded.
    pub fn new(written: &[u8]) -> Option<Self> {
        if written != b"*" && written.first() != Some(&b'/') {
            return None;
        }
        if written
            .iter()
            .any(|byte| matches!(byte, b'#' | b'\0'..=b' ' | 0x7f))
        {
            return None;
        }
        if !written.iter().copied().any(is_foreign) {
            return PathAndQuery::try_from(written).ok().map(Self::from);
        }
        let mut encoded = String::with_capacity(written.len() + 16);
        for byte in written {
            if is_foreign(*byte) {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            } else {
                encoded.push(char::from(*byte));
            }
        }
        Some(Self {
            sent: PathAndQuery::try_from(encoded).ok()?,
            written: Some(written.into()),
        })
    }

    /// The path of a request that is refused, for the log: whatever was written.
    pub fn of_refused(written: &[u8]) -> Self {
        Self {
            written: Some(written.into()),
            ..Self::root()
        }
    }

    /// The path as the client or a filter wrote it.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.written {
            Some(written) => written,
            None => self.sent.as_str().as_bytes(),
        }
    }

    /// The path as the origin gets it, and as routes and conditions see it.
    pub fn sent(&self) -> &PathAndQuery {
        &self.sent
    }
}

impl From<PathAndQuery> for RequestPath {
    fn from(sent: PathAndQuery) -> Self {
        if sent.as_str().bytes().any(is_foreign)
            && let Some(path) = Self::new(sent.as_str().as_bytes())
        {
            return path;
        }
        Self { sent, written: None }
    }
}

/// Returns true for a visible byte that no part of a path may have unencoded, and that some clients send.
#[inline]
pub fn is_foreign(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_see_what_was_written_and_origins_get_it_encoded() {
        for (written, sent) in [
            (&b"/a?b=c"[..], "/a?b=c"),
            (b"*", "*"),
            (b"/?q=<script>\"`", "/?q=%3Cscript%3E%22%60"),
            (b"/caf\xc3\xa9/\xff?%22", "/caf%C3%A9/%FF?%22"),
            (b"/{\"a\":1}|^\\", "/{%22a%22:1}|^\\"),
        ] {
            let path = RequestPath::new(written).unwrap();
            assert_eq!((path.as_bytes(), path.sent().as_str()), (written, sent));
        }
        let utf8 = RequestPath::from(PathAndQuery::try_from("/é").unwrap());
        assert_eq!(
            (utf8.as_bytes(), utf8.sent().as_str()),
            ("/é".as_bytes(), "/%C3%A9")
        );
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        for written in [&b""[..], b"a", b"*a", b"/#x", b"/a b", b"/\x7f", b"/\r\n", b"/\0"] {
            assert_eq!(RequestPath::new(written), None, "{written:?}");
        }
    }
}
