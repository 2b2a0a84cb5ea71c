//! Header maps that keep their order: operations that `http::HeaderMap` lacks, and the removal of a connection's fields.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::names::{self, is_hop_by_hop};

/// Removes all lines of a name and says whether there were any. `HeaderMap::remove` would move the last name into the gap.
pub fn remove(map: &mut HeaderMap, name: &HeaderName) -> bool {
    if !map.contains_key(name) {
        return false;
    }
    if map.keys().last() == Some(name) {
        map.remove(name);
    } else {
        retain(map, |other| other != name);
    }
    true
}

/// Keeps the lines whose name `keep` accepts, in their order. Allocates a new map.
pub fn retain(map: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let old = std::mem::take(map);
    let mut kept = HeaderMap::with_capacity(old.len());
    let mut current: Option<HeaderName> = None;
    for (name, value) in old {
        if let Some(name) = name {
            current = keep(&name).then_some(name);
        }
        if let Some(name) = &current {
            kept.append(name.clone(), value);
        }
    }
    *map = kept;
}

/// Removes what concerns the connection that a message came in on: the fields that its `connection` field names, and those
/// that are [hop by hop](is_hop_by_hop). The order of the other lines stays.
///
/// Trailers are passed on, so `trailer` stays, and `te: trailers` stands for every `te` that lists `trailers`. Allocates only
/// where there is something to remove.
pub fn strip_hop_by_hop(map: &mut HeaderMap) {
    // One pass over the names decides; most messages have none of these fields.
    if !map.keys().any(is_hop_by_hop) {
        return;
    }
    let te = lists(map, &header::TE, b"trailers");
    if te && map.keys().all(|name| name == header::TE || !is_hop_by_hop(name)) {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
        return;
    }
    let mut named: Vec<HeaderName> = Vec::new();
    for value in map.get_all(header::CONNECTION) {
        let tokens = value.as_bytes().split(|byte| *byte == b',');
        named.extend(tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok()));
    }
    // `connection: te` goes with every `te: trailers`.
    named.retain(|name| !names::is_kept_when_named(name));
    retain(map, |name| {
        if *name == header::TE {
            te
        } else {
            !is_hop_by_hop(name) && !named.contains(name)
        }
    });
    if te {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Makes one line of several `cookie` lines, as a message of HTTP/2 may have them and nobody else (RFC 9113, 8.2.3). Allocates
/// only where there are several.
pub fn join_cookies(map: &mut HeaderMap) {
    let mut lines = map.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let mut joined: Vec<u8> = Vec::new();
    for line in map.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(line.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        map.insert(header::COOKIE, value);
    }
}

/// Returns true if a line of a field that is a list holds a token; see [`names::lists_token`].
pub fn lists(map: &HeaderMap, field: &HeaderName, token: &[u8]) -> bool {
    map.get_all(field)
        .iter()
        .any(|value| names::lists_token(value.as_bytes(), token))
}

/// Returns the sum of the bytes of names and values.
pub fn byte_size(map: &HeaderMap) -> usize {
    map.iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn lines(map: &HeaderMap) -> Vec<(String, String)> {
        map.iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    fn pairs(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn removing_keeps_the_order() {
        let mut headers = map(&[("a", "1"), ("b", "2"), ("b", "3"), ("c", "4"), ("d", "5")]);
        assert!(remove(&mut headers, &HeaderName::from_static("a")));
        assert_eq!(
            lines(&headers),
            pairs(&[("b", "2"), ("b", "3"), ("c", "4"), ("d", "5")])
        );
        assert!(remove(&mut headers, &HeaderName::from_static("b")));
        assert!(remove(&mut headers, &HeaderName::from_static("d")));
        assert_eq!(lines(&headers), pairs(&[("c", "4")]));
        assert!(!remove(&mut headers, &HeaderName::from_static("x")));
    }

    #[test]
    fn connection_fields_and_the_fields_that_they_name_go() {
        let mut headers = map(&[
            ("host", "h"),
            ("connection", "keep-alive, X-Secret, host"),
            ("x-secret", "s"),
            ("te", "trailers, deflate"),
            ("transfer-encoding", "chunked"),
            ("http2-settings", "AAM"),
            ("x-kept", "k"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            lines(&headers),
            pairs(&[("host", "h"), ("te", "trailers"), ("x-kept", "k")])
        );
    }

    #[test]
    fn crumbs_are_one_cookie_in_their_place() {
        let mut headers = map(&[
            ("cookie", "a=1"),
            ("x", "1"),
            ("cookie", "b=2; c=3"),
            ("cookie", ""),
        ]);
        join_cookies(&mut headers);
        assert_eq!(
            lines(&headers),
            pairs(&[("cookie", "a=1; b=2; c=3; "), ("x", "1")])
        );
        let mut headers = map(&[("x", "1"), ("cookie", "a=1")]);
        join_cookies(&mut headers);
        assert_eq!(lines(&headers), pairs(&[("x", "1"), ("cookie", "a=1")]));
    }

    #[test]
    fn te_without_trailers_goes() {
        for te in ["deflate", "gzip;q=0.5", ""] {
            let mut headers = map(&[("te", te), ("a", "1")]);
            strip_hop_by_hop(&mut headers);
            assert_eq!(lines(&headers), pairs(&[("a", "1")]));
        }
    }

    #[test]
    fn te_with_trailers_on_any_line_is_one_line() {
        for connection in [None, Some("te, close")] {
            let mut headers = map(&[("te", "deflate"), ("te", "Trailers;q=1"), ("a", "1")]);
            if let Some(named) = connection {
                headers.insert(header::CONNECTION, HeaderValue::from_static(named));
            }
            strip_hop_by_hop(&mut headers);
            assert_eq!(lines(&headers), pairs(&[("te", "trailers"), ("a", "1")]));
        }
    }
}
