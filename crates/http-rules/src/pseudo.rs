//! Pseudo-headers as Proxy-Wasm knows them, in every version of HTTP, and the values that they may have.

use http::Method;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Returns true for a pseudo-header of a request. `host` counts as one: it stands for `:authority`.
#[inline]
pub fn is_request_pseudo(name: &[u8]) -> bool {
    matches!(name, b":path" | b":method" | b":scheme" | b":authority" | b"host")
}

/// Reads a `:method` that a request may be given. `CONNECT` is refused: it asks for a tunnel, and nothing that frames the
/// message would hold any more. Names of methods that are not in the standard are copied.
pub fn method(value: &[u8]) -> Option<Method> {
    Method::from_bytes(value)
        .ok()
        .filter(|method| *method != Method::CONNECT)
}

/// Reads a `:path`: a path with its query, or `*`. A fragment is refused, since it is never sent.
pub fn path(value: &[u8]) -> Option<PathAndQuery> {
    if value != b"*" && value.first() != Some(&b'/') {
        return None;
    }
    PathAndQuery::try_from(value)
        .ok()
        .filter(|path| path.as_str().as_bytes() == value)
}

/// Reads a `:scheme`.
pub fn scheme(value: &[u8]) -> Option<Scheme> {
    Scheme::try_from(value).ok()
}

/// Reads an `:authority` that is not empty.
///
/// User information is refused: it does not belong into `:authority` (RFC 9110, 4.2.4; RFC 9113, 8.3.1) and fools whoever
/// compares hosts.
pub fn authority(value: &[u8]) -> Option<Authority> {
    Authority::try_from(value)
        .ok()
        .filter(|authority| !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_tokens_and_never_ask_for_a_tunnel() {
        for value in ["GET", "PURGE", "get"] {
            assert_eq!(method(value.as_bytes()).unwrap().as_str(), value);
        }
        for value in ["", "GE T", "GET\n", "CONNECT"] {
            assert!(method(value.as_bytes()).is_none(), "{value:?}");
        }
    }

    #[test]
    fn paths_are_rooted_and_whole() {
        for value in ["/", "/a?b", "*", "/?"] {
            assert_eq!(path(value.as_bytes()).unwrap().as_str(), value);
        }
        for value in ["", "a", "/sp ace", "/x#fragment", "/\r\n", "*a"] {
            assert!(path(value.as_bytes()).is_none(), "{value:?}");
        }
    }

    #[test]
    fn authorities_have_no_user() {
        for value in ["a", "a:80", "[::1]:8080", "a.b_c"] {
            assert_eq!(authority(value.as_bytes()).unwrap().as_str(), value);
        }
        for value in ["", "user@a", "a b", "a/b", "a\n"] {
            assert!(authority(value.as_bytes()).is_none(), "{value:?}");
        }
    }
}
