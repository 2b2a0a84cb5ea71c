//! From a request as hyper gives it to a head that filters may see, and the requests that are turned away at the door.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Version};
use weir_chain::{RequestHead, local_reply, parse_authority};
use weir_config::Limits;
use weir_host::LocalResponse;
use weir_http_rules::request_path::RequestPath;
use weir_http_rules::target::has_escaped_slash;
use weir_http_rules::{fields, names::lists_token};

use crate::target_io;

/// A request that may go on.
pub(crate) struct Ingested {
    /// The head that filters see.
    pub head: RequestHead,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The protocol that the client wants to change to (`upgrade`).
    pub upgrade: Option<HeaderValue>,
}

impl Ingested {
    /// The rest of a request that was turned away: enough to log it and to answer it.
    pub fn refused(method: Method, version: Version, path: Option<PathAndQuery>) -> Self {
        let path = path.map_or_else(RequestPath::root, |path| {
            RequestPath::of_refused(&written(path.as_str(), version))
        });
        let head = RequestHead {
            method,
            scheme: Scheme::HTTP,
            authority: Bytes::new(),
            path,
            version,
            fields: HeaderMap::new(),
        };
        Self {
            head,
            expects_continue: false,
            upgrade: None,
        }
    }
}

/// Checks a request and takes away what belongs to the client's connection.
///
/// Refused are requests that two parties could read differently: more than one host, a host that contradicts the
/// target, more than one length. Contradicting lengths and bad codings of HTTP/1 do not come this far; hyper answers
/// them with 400.
pub(crate) fn ingest(parts: Parts, tls: bool, limits: &Limits) -> Result<Ingested, LocalResponse> {
    let Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
    if headers.len() > limits.header_count {
        return Err(local_reply::phrase(431, "too_many_headers"));
    }
    if version == Version::HTTP_2 {
        if list_size(&headers) > limits.header_bytes {
            return Err(local_reply::phrase(431, "headers_too_large"));
        }
        if headers.values().any(has_white_space_around) {
            return Err(bad("white_space_around_value"));
        }
    }
    if method == Method::CONNECT {
        return Err(local_reply::plain(
            405,
            "connect_not_supported",
            "CONNECT is not supported",
        ));
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(bad("several_content_lengths"));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        // We would send the body on without the codings that we do not understand.
        return Err(bad("bad_transfer_encoding"));
    }
    let authority = authority(
        uri.authority().map(|authority| authority.as_str()),
        &headers,
        version,
    )?;
    let path = match uri.path_and_query() {
        Some(path) if path.as_str() == "*" && method != Method::OPTIONS => return Err(bad("bad_path")),
        Some(path) if path.as_str().starts_with('/') || path.as_str() == "*" => request_path(path, version)?,
        // `GET http://host?query` and `OPTIONS http://host`.
        Some(path) => {
            let path = PathAndQuery::try_from(format!("/{}", path.as_str())).map_err(|_| bad("bad_path"))?;
            request_path(&path, version)?
        }
        None => RequestPath::root(),
    };
    if limits.refuse_escaped_slashes && has_escaped_slash(path.as_bytes()) {
        return Err(bad("escaped_slash"));
    }
    let expects_continue = headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects_continue {
        // Between the client and us; hyper answers it when the body is asked for.
        fields::remove(&mut headers, &header::EXPECT);
    }
    let upgrade = upgrade(version, &headers);
    fields::strip_hop_by_hop(&mut headers);
    if version == Version::HTTP_2 {
        fields::join_cookies(&mut headers);
    }
    if let Some(protocol) = &upgrade {
        headers.insert(header::UPGRADE, protocol.clone());
    }
    let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
    let head = RequestHead {
        method,
        scheme,
        authority,
        path,
        version,
        fields: headers,
    };
    Ok(Ingested {
        head,
        expects_continue,
        upgrade,
    })
}

/// The size of fields as HTTP/2 counts it (RFC 9113, 10.5.1).
fn list_size(headers: &HeaderMap) -> u64 {
    (fields::byte_size(headers) + 32 * headers.len()) as u64
}

/// Returns true for a value that HTTP/2 takes for malformed (RFC 9113, 8.2.1). HTTP/1 drops white space there.
fn has_white_space_around(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
    bytes.first().is_some_and(is_white) || bytes.last().is_some_and(is_white)
}

/// The path as the client wrote it. A path with a fragment is refused: on HTTP/1 the connection keeps it from being dropped.
fn request_path(path: &PathAndQuery, version: Version) -> Result<RequestPath, LocalResponse> {
    match written(path.as_str(), version) {
        Cow::Borrowed(_) => Ok(path.clone().into()),
        Cow::Owned(written) => RequestPath::new(&written).ok_or_else(|| bad("bad_path")),
    }
}

/// The path without the stand-ins that connections of HTTP/1 have put into it.
fn written(path: &str, version: Version) -> Cow<'_, [u8]> {
    match version {
        Version::HTTP_2 => Cow::Borrowed(path.as_bytes()),
        _ => target_io::written(path),
    }
}

fn authority(target: Option<&str>, headers: &HeaderMap, version: Version) -> Result<Bytes, LocalResponse> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("several_hosts"));
    }
    match (target, host) {
        // In HTTP/1.1 the target goes before the field (RFC 9112, 3.2.2); in HTTP/2 the request is malformed (RFC 9113, 8.3.1).
        (Some(target), Some(host))
            if version == Version::HTTP_2 && !host.as_bytes().eq_ignore_ascii_case(target.as_bytes()) =>
        {
            Err(bad("host_contradicts_target"))
        }
        (Some(target), _) => parse_authority(target.as_bytes()).ok_or_else(|| bad("bad_authority")),
        (None, Some(host)) => parse_authority(host.as_bytes()).ok_or_else(|| bad("bad_host")),
        (None, None) if version != Version::HTTP_10 => Err(bad("no_host")),
        (None, None) => Ok(Bytes::new()),
    }
}

/// The protocol to change to, where the request asks for it. HTTP/2 is not changed to in this way any more (RFC 9113).
fn upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let wants = version == Version::HTTP_11 && fields::lists(headers, &header::CONNECTION, b"upgrade");
    let protocol = headers.get(header::UPGRADE).filter(|_| wants)?;
    (!lists_token(protocol.as_bytes(), b"h2c")).then(|| protocol.clone())
}

fn bad(details: &str) -> LocalResponse {
    local_reply::phrase(400, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_ingest(request: http::request::Builder) -> Result<Ingested, (u16, String)> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let limits = Limits {
            header_count: 10,
            refuse_escaped_slashes: true,
            ..Limits::default()
        };
        ingest(parts, false, &limits).map_err(|reply| (reply.status, reply.details))
    }

    fn refused(request: http::request::Builder) -> (u16, String) {
        match try_ingest(request) {
            Ok(_) => (0, String::new()),
            Err(refusal) => refusal,
        }
    }

    fn get(uri: &str) -> http::request::Builder {
        http::Request::get(uri)
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        for (request, details) in [
            (get("/"), "no_host"),
            (get("/").header("host", "a").header("host", "a"), "several_hosts"),
            (
                get("http://a/").version(Version::HTTP_2).header("host", "b"),
                "host_contradicts_target",
            ),
            (get("/").version(Version::HTTP_2), "no_host"),
            (get("/").header("host", "user@a"), "bad_host"),
            (get("/").header("host", "a b"), "bad_host"),
            (get("*").header("host", "a"), "bad_path"),
            (get("/a%2fb").header("host", "a"), "escaped_slash"),
            (get("/a%5Cb").header("host", "a"), "escaped_slash"),
            (
                get("/")
                    .header("host", "a")
                    .header("content-length", "1")
                    .header("content-length", "1"),
                "several_content_lengths",
            ),
            (
                get("/")
                    .header("host", "a")
                    .header("transfer-encoding", "gzip, chunked"),
                "bad_transfer_encoding",
            ),
            (
                get("/")
                    .header("host", "a")
                    .header("transfer-encoding", "chunked")
                    .header("transfer-encoding", "chunked"),
                "bad_transfer_encoding",
            ),
        ] {
            assert_eq!(refused(request), (400, details.to_owned()));
        }
        assert_eq!(
            refused(http::Request::connect("a:80").header("host", "a:80")).0,
            405
        );
        let large = get("http://a/")
            .version(Version::HTTP_2)
            .header("x", "v".repeat(64 << 10));
        assert_eq!(refused(large).0, 431);
        for value in [" v", "v\t"] {
            let value = HeaderValue::from_static(value);
            let request = get("http://a/").version(Version::HTTP_2).header("x", value);
            assert_eq!(refused(request), (400, "white_space_around_value".to_owned()));
        }
        let many = (0..11).fold(get("/"), |request, n| request.header(format!("x-{n}"), "1"));
        assert_eq!(refused(many).0, 431);
    }

    #[test]
    fn the_target_and_host_become_the_authority() {
        for (request, authority, path) in [
            (get("/a?b").header("host", "H:1"), "H:1", "/a?b"),
            (get("http://h/a").header("host", "H"), "h", "/a"),
            (get("http://h/a").header("host", "other"), "h", "/a"),
            (get("/a").header("host", ""), "", "/a"),
            (get("http://h?q").header("host", "h"), "h", "/?q"),
            (get("/").version(Version::HTTP_10), "", "/"),
            (get("https://h/").version(Version::HTTP_2), "h", "/"),
        ] {
            let head = try_ingest(request).ok().unwrap().head;
            assert_eq!(
                (head.authority.as_ref(), head.path.as_bytes()),
                (authority.as_bytes(), path.as_bytes())
            );
        }
    }

    #[test]
    fn connection_fields_stay_on_their_connection() {
        let request = get("/")
            .header("host", "a")
            .header("connection", "keep-alive, x-hop")
            .header("x-hop", "1")
            .header("expect", "100-continue")
            .header("te", "trailers");
        let ingested = try_ingest(request).ok().unwrap();
        assert!(ingested.expects_continue);
        assert!(ingested.upgrade.is_none());
        let names: Vec<_> = ingested
            .head
            .fields
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        assert_eq!(names, ["host", "te"]);
    }

    #[test]
    fn an_upgrade_needs_both_fields_and_is_never_h2c() {
        let upgrade = |connection: &str, protocol: &str| {
            let request = get("/")
                .header("host", "a")
                .header("connection", connection)
                .header("upgrade", protocol);
            try_ingest(request).ok().unwrap().upgrade
        };
        assert_eq!(upgrade("Upgrade", "websocket").unwrap(), "websocket");
        assert!(upgrade("close", "websocket").is_none());
        assert!(upgrade("upgrade, http2-settings", "h2c").is_none());
    }
}
