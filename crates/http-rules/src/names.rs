//! Field names: which fields belong to a connection, frame a message or may not be trailers; and which bytes names and
//! values consist of.
//!
//! All classes take a name in lower case, as [`http::HeaderName`] keeps names and as the host hands on the names that
//! guests give. A name in another spelling belongs to no class.

/// The fields that [`is_connection_field`] accepts, for those who look each up in a message.
pub const CONNECTION_FIELDS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Returns true for a field that belongs to one connection and is never passed on (RFC 9110, 7.6.1; RFC 9113, 8.2.2).
///
/// `te` is not among them: `te: trailers` is passed on, see [`is_hop_by_hop`].
#[inline]
pub fn is_connection_field(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    match name.len() {
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    }
}

/// Returns true for a field of the connection in a message that may lack a `connection` field; `named`: it has one.
///
/// `keep-alive` and `upgrade` mean nothing without a `connection` that names them (RFC 9110, 7.6.1), and are like any other
/// field there.
#[inline]
pub fn is_connection_field_of(name: impl AsRef<[u8]>, named: bool) -> bool {
    let name = name.as_ref();
    is_connection_field(name) && (named || !matches!(name, b"keep-alive" | b"upgrade"))
}

/// Returns true for a field by which the sender of a response tells of itself: `date`, `server` and `via`. A proxy that
/// answers keeps its own.
pub fn is_sender_field(name: impl AsRef<[u8]>) -> bool {
    matches!(name.as_ref(), b"date" | b"server" | b"via")
}

/// The fields that [`is_framing_field`] accepts, for messages to people.
pub const FRAMING_FIELDS: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Returns true for a field that says where a message ends or belongs to one connection: the proxy sets it, and neither a
/// configuration nor a guest has a say in it.
#[inline]
pub fn is_framing_field(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    name == b"content-length" || is_connection_field(name)
}

/// Returns true for a field that goes, in whole or in part, before a message leaves for another connection: a connection
/// field, `te` and `http2-settings`. [`fields::strip_hop_by_hop`](crate::fields::strip_hop_by_hop) takes them away.
#[inline]
pub fn is_hop_by_hop(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    name == b"te" || name == b"http2-settings" || is_connection_field(name)
}

/// Returns true for a field that stays although a `connection` field names it: it frames, routes or describes the message,
/// or has a rule of its own (`te`). A client must not be able to take it away.
pub(crate) fn is_kept_when_named(name: impl AsRef<[u8]>) -> bool {
    matches!(
        name.as_ref(),
        b"te" | b"host" | b"content-length" | b"content-type"
    )
}

/// Returns true for a field that may not stand in trailers (RFC 9110, 6.5.1): it frames, routes, authenticates or describes
/// the message, or belongs to one connection.
#[inline]
pub fn is_forbidden_in_trailers(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    match name.len() {
        2 => name == b"te",
        4 => name == b"host",
        5 => name == b"range",
        6 => name == b"expect",
        7 => name == b"trailer" || name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive" || name == b"set-cookie",
        12 => name == b"content-type" || name == b"max-forwards",
        13 => name == b"cache-control" || name == b"authorization" || name == b"content-range",
        14 => name == b"content-length",
        16 => name == b"content-encoding" || name == b"proxy-connection" || name == b"www-authenticate",
        17 => name == b"transfer-encoding",
        18 => name == b"proxy-authenticate",
        19 => name == b"proxy-authorization",
        _ => false,
    }
}

/// Returns true if a comma-separated list holds a token. Neither the case of the token nor parameters behind a semicolon
/// count.
pub fn lists_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| {
        let item = item.split(|byte| *byte == b';').next().unwrap_or_default();
        item.trim_ascii().eq_ignore_ascii_case(token)
    })
}

/// Returns true if a name can stand in a message: a token (RFC 9110, 5.6.2), of any length but zero.
#[inline]
pub fn is_token(name: &[u8]) -> bool {
    // Without an exit on the way: names that are refused are rare, and the others have to be looked at to their end.
    let tokens = name
        .iter()
        .fold(true, |all, byte| all & TOKEN[usize::from(*byte)]);
    !name.is_empty() && tokens
}

/// Returns true if a value can stand in a message: no control characters but the tab (RFC 9110, 5.5). Bytes above 0x7f pass.
#[inline]
pub fn is_value(value: &[u8]) -> bool {
    value.iter().fold(true, |all, byte| {
        all & (*byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
    })
}

/// The bytes that tokens consist of.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_values_hold_no_controls() {
        assert!(is_token(b"x-weir_1"));
        for name in [&b""[..], b"a b", b"a:b", b"\xff", b"a\n"] {
            assert!(!is_token(name), "{name:?}");
        }
        assert!(is_value(b""));
        assert!(is_value(b"a\tb \xff"));
        for value in [&b"a\r\nb"[..], b"\0", b"\x7f"] {
            assert!(!is_value(value), "{value:?}");
        }
    }

    #[test]
    fn framing_fields_are_those_that_the_list_names() {
        assert!(FRAMING_FIELDS.iter().all(is_framing_field));
        for name in ["te", "host", "http2-settings", "trailer", "content-type", "date"] {
            assert!(
                !is_framing_field(name) && !FRAMING_FIELDS.contains(&name),
                "{name}"
            );
        }
    }

    #[test]
    fn keep_alive_and_upgrade_are_of_the_connection_where_it_is_named() {
        for name in ["keep-alive", "upgrade"] {
            assert!(is_connection_field_of(name, true) && !is_connection_field_of(name, false));
        }
        for name in ["connection", "proxy-connection", "transfer-encoding"] {
            assert!(is_connection_field_of(name, true) && is_connection_field_of(name, false));
        }
        assert!(!is_connection_field_of("te", true));
    }

    #[test]
    fn lists_are_read_without_case_and_parameters() {
        for (list, holds) in [
            ("trailers", true),
            ("deflate, Trailers", true),
            ("gzip;q=0.5 ,\ttrailers;q=1", true),
            ("", false),
            ("trailer", false),
            ("x=trailers", false),
        ] {
            assert_eq!(lists_token(list.as_bytes(), b"trailers"), holds, "{list}");
        }
    }
}
