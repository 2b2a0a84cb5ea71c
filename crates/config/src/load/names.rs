//! Hosts, addresses, authorities.

use std::net::Ipv6Addr;

use crate::Endpoint;
use crate::read::Field;

/// `host:port`, `[address]:port`.
pub(super) fn endpoint(text: &str, default_port: Option<u16>) -> Option<Endpoint> {
    let (host, port) = split_port(text);
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default_port?,
    };
    Some(Endpoint {
        host: host_name(host)?,
        port,
    })
}

/// An authority for a `Host` header: a host, with or without a port.
pub(super) fn authority(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a host such as example.com or example.com:8080";
    let text = field.scalar(EXPECTED)?;
    match endpoint(text, Some(80)) {
        Some(_) => Some(text.to_owned()),
        None => field.expected(EXPECTED),
    }
}

/// A host name or IP address without brackets, as TLS wants it.
pub(super) fn server_name(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a host name such as example.com";
    host_name(field.scalar(EXPECTED)?).or_else(|| field.expected(EXPECTED))
}

/// A host that may stand in an URL; brackets are taken off.
fn host_name(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name = !text.is_empty() && text.len() <= 253 && text.bytes().all(legal);
    let labels = text
        .trim_end_matches('.')
        .split('.')
        .all(|label| !label.is_empty() && label.len() <= 63);
    (name && labels).then(|| text.to_owned())
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn endpoints_have_a_host_and_a_port() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("example.com:1", "example.com:1"),
            ("a_b-c.d.:65535", "a_b-c.d.:65535"),
            ("[::1]:80", "[::1]:80"),
            ("[0:0::1]", "[::1]:443"),
            ("example.com", "example.com:443"),
        ];
        for (text, shown) in cases {
            assert_eq!(
                endpoint(text, Some(443))
                    .map(|endpoint| endpoint.to_string())
                    .as_deref(),
                Some(shown)
            );
        }
        for text in [
            "", ":80", "a:", "a:0", "a:65536", "a:x", "::1", "[::1", "[a]:80", "a b:80", "a/b:80", "a..b:80",
            "ü:1",
        ] {
            assert_eq!(endpoint(text, Some(443)), None, "{text}");
        }
        assert_eq!(endpoint("example.com", None), None);
    }
}
