//! Header maps that keep their order: the few operations that `http::HeaderMap` lacks.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that belong to one connection and are never passed on (RFC 9110, 7.6.1; RFC 9113, 8.2.2).
///
/// `te` is not among them: `te: trailers` is what gRPC needs, and [`strip_connection_fields`] keeps nothing else of it.
const CONNECTION_FIELDS: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether a field belongs to one connection.
pub fn is_connection_field(name: &HeaderName) -> bool {
    CONNECTION_FIELDS.contains(name)
}

/// Whether a field may not stand in trailers (RFC 9110, 6.5.1): it frames, routes or describes the message.
pub fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::CONTENT_ENCODING
            | header::CONTENT_RANGE
            | header::HOST
            | header::TRAILER
            | header::TE
            | header::AUTHORIZATION
            | header::SET_COOKIE
            | header::CACHE_CONTROL
            | header::MAX_FORWARDS
    ) || is_connection_field(name)
}

/// Removes all lines of a name. `HeaderMap::remove` would move the last name into the gap.
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

/// Keeps the lines whose name `keep` accepts, in their order.
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

/// Takes away what belongs to the connection that a message came in on, and what its `connection` field names.
pub fn strip_connection_fields(map: &mut HeaderMap) {
    if let Some(te) = map.get(header::TE)
        && !has_token(te.as_bytes(), b"trailers")
    {
        remove(map, &header::TE);
    } else if map.get(header::TE).is_some_and(|te| te.as_bytes() != b"trailers") {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if !CONNECTION_FIELDS.iter().any(|name| map.contains_key(name)) {
        return;
    }
    let mut named: Vec<HeaderName> = Vec::new();
    for value in map.get_all(header::CONNECTION) {
        let tokens = value.as_bytes().split(|byte| *byte == b',');
        named.extend(tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok()));
    }
    // `connection: te` goes with every `te: trailers`; the field itself is passed on. A client must not be able to
    // take away the fields that frame or route the message.
    named.retain(|name| {
        !matches!(
            *name,
            header::TE | header::HOST | header::CONTENT_LENGTH | header::CONTENT_TYPE
        )
    });
    retain(map, |name| !is_connection_field(name) && !named.contains(name));
}

/// Whether a comma-separated list holds a token, in any case.
pub fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| {
        let item = item.split(|byte| *byte == b';').next().unwrap_or_default();
        item.trim_ascii().eq_ignore_ascii_case(token)
    })
}

/// Sum of the bytes of names and values.
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
    fn connection_fields_and_what_they_name_go() {
        let mut headers = map(&[
            ("host", "h"),
            ("connection", "keep-alive, X-Secret, host"),
            ("x-secret", "s"),
            ("te", "trailers, deflate"),
            ("transfer-encoding", "chunked"),
            ("x-kept", "k"),
        ]);
        strip_connection_fields(&mut headers);
        assert_eq!(
            lines(&headers),
            pairs(&[("host", "h"), ("te", "trailers"), ("x-kept", "k")])
        );
    }

    #[test]
    fn te_without_trailers_goes() {
        let mut headers = map(&[("te", "deflate"), ("a", "1")]);
        strip_connection_fields(&mut headers);
        assert_eq!(lines(&headers), pairs(&[("a", "1")]));
    }
}
