//! Fields that a guest asks for, whichever way: single edits, whole maps, calls, local responses. Their names come in lower
//! case.
//!
//! Both proxies take a change of a reserved field and leave the message as it is, so that a guest which sets back the map
//! that it has read gets no error.

use crate::names;

/// Returns true for a field that is never the guest's to set: it frames the message or belongs to one connection.
#[inline]
pub fn is_reserved(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    name == b"http2-settings" || names::is_framing_field(name)
}

/// Returns true for a `te` field that says nothing that is passed on: all of it but `trailers` belongs to one connection.
#[inline]
pub fn is_empty_te(name: impl AsRef<[u8]>, value: &[u8]) -> bool {
    name.as_ref() == b"te" && !names::lists_token(value, b"trailers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_reserved_and_te_says_trailers_or_nothing() {
        for name in [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "http2-settings",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        assert!(!is_reserved("te") && !is_reserved("host") && !is_reserved("trailer"));
        assert!(is_empty_te("te", b"gzip") && !is_empty_te("te", b"gzip, Trailers"));
        assert!(!is_empty_te("x-te", b"gzip"));
    }
}
