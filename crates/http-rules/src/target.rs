//! The host and path of a request as conditions see them, so that other spellings of a path that an origin takes for the same
//! one do not pass a condition by.

use std::borrow::Cow;

/// Returns a path, with its query, in the one spelling that conditions are written for (RFC 3986, 6.2.2; Envoy's
/// `normalize_path` and `merge_slashes`):
///
/// - escapes of unreserved characters are undone, those of others written in upper case;
/// - a backslash is a slash, and several slashes are one;
/// - segments `.` and `..` are resolved;
/// - the parameters of a segment (`;...`) are left out.
///
/// What does not begin with `/` stays as it is. Allocates only where something changes.
pub fn normalized_path(path: &[u8]) -> Cow<'_, [u8]> {
    let end = path
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#'))
        .unwrap_or(path.len());
    let (path_only, rest) = path.split_at(end);
    if path_only.first() != Some(&b'/') || is_normal(path_only) {
        return Cow::Borrowed(path);
    }
    let unescaped = unescape(path_only);
    let mut normal: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = unescaped.split(|byte| is_slash(*byte)).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match name {
            b"" | b"." => {}
            b".." => {
                let parent = normal.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                normal.truncate(parent);
            }
            name => {
                normal.push(b'/');
                normal.extend_from_slice(name);
                continue;
            }
        }
        if is_last {
            normal.push(b'/');
        }
    }
    normal.extend_from_slice(rest);
    Cow::Owned(normal)
}

/// Returns a path whose escaped slashes and backslashes are slashes; `None` where it has none. To be
/// [normalized](normalized_path) after it.
pub fn with_slashes_unescaped(path: &[u8]) -> Option<Vec<u8>> {
    has_escaped_slash(path).then(|| {
        let mut plain = Vec::with_capacity(path.len());
        let mut left = path;
        while let [first, after @ ..] = left {
            let escaped = escape(left).filter(|byte| is_slash(*byte));
            plain.push(if escaped.is_some() { b'/' } else { *first });
            left = if escaped.is_some() { &left[3..] } else { after };
        }
        plain
    })
}

/// Returns true if a path, up to its query, has `%2F` or `%5C`: some origins take it for a slash, others do not.
pub fn has_escaped_slash(path: &[u8]) -> bool {
    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let path = &path[..end];
    let mut escapes = (0..path.len()).filter(|at| path[*at] == b'%');
    escapes.any(|at| escape(&path[at..]).is_some_and(is_slash))
}

/// Returns the name of an authority: without a port, and without the dot that ends a name which is complete. An IPv6 address
/// keeps its brackets.
pub fn bare_host(authority: &[u8]) -> &[u8] {
    let end_of_address = authority.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let host = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if colon > end_of_address => &authority[..colon],
        _ => authority,
    };
    match host.strip_suffix(b".") {
        Some(name) if !name.is_empty() => name,
        _ => host,
    }
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Whether there is nothing to do, for the most part at the price of one look at each byte.
fn is_normal(path: &[u8]) -> bool {
    !path.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut left = path;
    while let [first, after @ ..] = left {
        match escape(left) {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                plain.push(byte);
                left = &left[3..];
            }
            Some(_) => {
                plain.extend(left[..3].to_ascii_uppercase());
                left = &left[3..];
            }
            None => {
                plain.push(*first);
                left = after;
            }
        }
    }
    plain
}

/// The byte that an escape at the beginning stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_path_are_one() {
        for (path, normal) in [
            ("/private", "/private"),
            ("//private", "/private"),
            ("/./private", "/private"),
            ("/x/../private", "/private"),
            ("/x/%2e%2E/private", "/private"),
            ("/%70rivate", "/private"),
            ("/private;x", "/private"),
            ("/;a=b/private;x=1/a", "/private/a"),
            ("/x/..;/private", "/private"),
            ("/\\private", "/private"),
            ("/../../private", "/private"),
            ("/private//?a=//../%70", "/private/?a=//../%70"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("//", "/"),
            ("/", "/"),
            ("/a%c3%a4", "/a%C3%A4"),
            ("/a%2fb", "/a%2Fb"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/a%", "/a%"),
            ("/a%zz", "/a%zz"),
            ("/.well-known/x", "/.well-known/x"),
            ("*", "*"),
            ("", ""),
            ("a//b", "a//b"),
        ] {
            let got = normalized_path(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), normal, "{path}");
            assert_eq!(
                normalized_path(normal.as_bytes()),
                normal.as_bytes(),
                "{normal} again"
            );
        }
        assert!(matches!(normalized_path(b"/a/b?c=%70;//"), Cow::Borrowed(_)));
    }

    #[test]
    fn escaped_slashes_are_found_and_undone() {
        for (path, plain) in [
            ("/a%2fb%2F%5cc", Some("/a/b//c")),
            ("/a?b=%2f", None),
            ("/a%2", None),
            ("/a%2e", None),
        ] {
            let got = with_slashes_unescaped(path.as_bytes());
            assert_eq!(got.as_deref(), plain.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn hosts_lose_port_and_last_dot() {
        for (authority, host) in [
            ("a.example:80", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            (".", "."),
            ("", ""),
        ] {
            assert_eq!(bare_host(authority.as_bytes()), host.as_bytes(), "{authority}");
        }
    }
}
