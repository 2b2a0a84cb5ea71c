//! Classes of names equal plain lists, for every spelling of their members and for names near them.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use weir_http_rules::{fields, names};

const CONNECTION: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];
const FRAMING: &[&str] = &["content-length"];
const HOP_BY_HOP: &[&str] = &["te", "http2-settings"];
const NOT_IN_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "host",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "www-authenticate",
];

fn all() -> Vec<&'static str> {
    [
        CONNECTION,
        FRAMING,
        HOP_BY_HOP,
        NOT_IN_TRAILERS,
        &["x-a", "accept"],
    ]
    .concat()
}

/// A name of one of the classes, perhaps in another spelling, or with a byte changed; or any token.
fn name() -> impl Strategy<Value = String> {
    let spelled = (prop::sample::select(all()), any::<u32>()).prop_map(|(name, upper)| {
        let spell = |(at, letter): (usize, char)| match upper >> (at % 32) & 1 {
            1 => letter.to_ascii_uppercase(),
            _ => letter,
        };
        name.chars().enumerate().map(spell).collect::<String>()
    });
    let near = (
        prop::sample::select(all()),
        any::<prop::sample::Index>(),
        "[a-z-]",
    )
        .prop_map(|(name, at, other)| {
            let at = at.index(name.len());
            format!("{}{other}{}", &name[..at], &name[at + 1..])
        });
    prop_oneof![
        prop::sample::select(all()).prop_map(str::to_owned),
        spelled,
        near,
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,24}",
    ]
}

proptest! {
    #[test]
    fn classes_equal_plain_lists(given in name()) {
        let lower = given.to_ascii_lowercase();
        let is = |lists: &[&[&str]]| lists.iter().any(|list| list.contains(&lower.as_str()));
        let parsed = HeaderName::from_bytes(given.as_bytes()).unwrap();
        for name in [lower.as_bytes(), parsed.as_str().as_bytes()] {
            prop_assert_eq!(names::is_connection_field(name), is(&[CONNECTION]));
            prop_assert_eq!(names::is_framing_field(name), is(&[CONNECTION, FRAMING]));
            prop_assert_eq!(names::is_hop_by_hop(name), is(&[CONNECTION, HOP_BY_HOP]));
            prop_assert_eq!(names::is_forbidden_in_trailers(name), is(&[CONNECTION, NOT_IN_TRAILERS]));
        }
    }

    #[test]
    fn names_and_values_are_those_that_header_maps_take(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(names::is_token(&bytes), HeaderName::from_bytes(&bytes).is_ok());
        prop_assert_eq!(names::is_value(&bytes), HeaderValue::from_bytes(&bytes).is_ok());
    }

    #[test]
    fn stripping_leaves_nothing_of_the_connection_and_keeps_the_rest_in_order(
        given in prop::collection::vec((name(), "[a-z]{0,3}"), 0..12),
        named in prop::collection::vec(name(), 0..4),
        welcome in prop::sample::select(vec!["", "deflate", "Trailers", "gzip, trailers;q=0.5"]),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &given {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map.append("connection", HeaderValue::from_str(&named.join(", ")).unwrap());
        map.append("te", HeaderValue::from_static(welcome));
        let before = map.clone();
        fields::strip_hop_by_hop(&mut map);

        let kept = ["te", "host", "content-length", "content-type"];
        let goes = |name: &HeaderName| {
            let listed = before.get_all("connection").iter().any(|line| {
                let line = line.to_str().unwrap();
                line.split(',').any(|item| item.trim().eq_ignore_ascii_case(name.as_str()))
            });
            CONNECTION.contains(&name.as_str())
                || HOP_BY_HOP.contains(&name.as_str())
                || (listed && !kept.contains(&name.as_str()))
        };
        let expected: Vec<_> = before.iter().filter(|(name, _)| !goes(name)).collect();
        let rest: Vec<_> = map.iter().filter(|(name, _)| *name != "te").collect();
        prop_assert_eq!(rest, expected);
        let te: Vec<_> = map.get_all("te").iter().collect();
        let wanted = welcome.to_ascii_lowercase().contains("trailers");
        prop_assert_eq!(te, if wanted { vec!["trailers"] } else { vec![] });
    }
}
