//! Reading the HTTP call that a guest asks for.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use weir_abi::{CallFailure, Status};
use weir_http_rules::fields::strip_hop_by_hop;
use weir_http_rules::names::is_forbidden_in_trailers;
use weir_http_rules::pseudo;

/// Turns the header lines into a request without a body. Hop-by-hop fields and `Content-Length` are left out: the
/// first are not the guest's to set, the second is computed.
pub(crate) fn head(lines: &[(Vec<u8>, Vec<u8>)]) -> Result<Request<()>, CallFailure> {
    let mut pseudo = Pseudo::default();
    let mut headers = HeaderMap::with_capacity(lines.len());
    for (name, value) in lines {
        match name.strip_prefix(b":") {
            Some(name) => pseudo.set(name, value)?,
            None => {
                let (name, value) = field(name, value)?;
                headers.append(name, value);
            }
        }
    }
    strip_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    // `:authority` goes before it.
    if let Some(host) = headers.remove(header::HOST)
        && pseudo.authority.is_none()
    {
        pseudo.set(b"authority", host.as_bytes())?;
    }
    let (method, uri) = pseudo.finish()?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Turns the trailer lines into a map; `None` where there are none. Names that may not be trailers are left out.
pub(crate) fn trailers(lines: &[(Vec<u8>, Vec<u8>)]) -> Result<Option<HeaderMap>, CallFailure> {
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for (name, value) in lines {
        let (name, value) = field(name, value)?;
        if !is_forbidden_in_trailers(&name) {
            trailers.append(name, value);
        }
    }
    Ok((!trailers.is_empty()).then_some(trailers))
}

fn field(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), CallFailure> {
    let name = HeaderName::from_bytes(name)
        .map_err(|_| bad(format!("invalid header name `{}`", name.escape_ascii())))?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| bad(format!("invalid value of header `{name}`")))?;
    Ok((name, value))
}

#[derive(Default)]
struct Pseudo {
    method: Option<Method>,
    path: Option<PathAndQuery>,
    authority: Option<Authority>,
}

impl Pseudo {
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), CallFailure> {
        match name {
            b"method" => fill(&mut self.method, pseudo::method(value), ":method"),
            b"path" => {
                // A fragment is not sent, and does not make a call impossible.
                let sent = value.split(|byte| *byte == b'#').next().unwrap_or_default();
                fill(&mut self.path, path(sent), ":path")
            }
            b"authority" => fill(&mut self.authority, pseudo::authority(value), ":authority"),
            // The upstream decides whether there is TLS; other pseudo-headers are nobody's.
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<(Method, Uri), CallFailure> {
        let missing = |name: &str| bad(format!("missing {name}"));
        let method = self.method.ok_or_else(|| missing(":method"))?;
        let path = self.path.ok_or_else(|| missing(":path"))?;
        let authority = self.authority.ok_or_else(|| missing(":authority"))?;
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority)
            .path_and_query(path)
            .build();
        Ok((method, uri.map_err(|_| bad("invalid :path".to_owned()))?))
    }
}

/// Reads a `:path`, also one that is a whole URL or begins without a slash: filters for other hosts give such.
fn path(value: &[u8]) -> Option<PathAndQuery> {
    if let Some(path) = pseudo::path(value) {
        return Some(path);
    }
    let text = std::str::from_utf8(value).ok()?;
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if pseudo::scheme(scheme.as_bytes()).is_some() => {
            &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
        }
        _ => text,
    };
    let slash = if rest.starts_with('/') { "" } else { "/" };
    pseudo::path(format!("{slash}{rest}").as_bytes())
}

fn fill<T>(place: &mut Option<T>, value: Option<T>, name: &str) -> Result<(), CallFailure> {
    let value = value.ok_or_else(|| bad(format!("invalid {name}")))?;
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(format!("more than one {name}"))),
    }
}

fn bad(reason: String) -> CallFailure {
    CallFailure {
        status: Status::BadArgument,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        lines
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect()
    }

    const GOOD: &[(&str, &[u8])] = &[
        (":method", b"GET"),
        (":path", b"/a?b"),
        (":authority", b"x.example:8080"),
    ];

    fn with(extra: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        [lines(GOOD), lines(extra)].concat()
    }

    #[test]
    fn a_request_is_read() {
        let extra: &[(&str, &[u8])] = &[
            (":scheme", b"gopher"),
            ("X-Bytes", b"\xff\x80"),
            ("x-two", b"1"),
            ("x-two", b"2"),
            ("connection", b"x-hop"),
            ("x-hop", b"1"),
            ("content-length", b"999"),
            ("host", b"other"),
        ];
        let request = head(&with(extra)).unwrap();
        assert_eq!(request.uri().to_string(), "http://x.example:8080/a?b");
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(
            headers,
            [("x-bytes", &b"\xff\x80"[..]), ("x-two", b"1"), ("x-two", b"2")]
        );
    }

    #[test]
    fn forms_that_filters_of_the_field_use_are_read() {
        for (path, sent) in [
            ("a", "/a"),
            ("", "/"),
            ("?q", "/?q"),
            ("https://x.example/a?b", "/a?b"),
            ("https://x.example?b", "/?b"),
            ("https://x.example", "/"),
        ] {
            let call: &[(&str, &[u8])] = &[
                (":method", b"GET"),
                (":path", path.as_bytes()),
                ("host", b"h.example"),
                (":protocol", b"websocket"),
            ];
            let uri = head(&lines(call)).unwrap().uri().to_string();
            assert_eq!(uri, format!("http://h.example{sent}"), "{path}");
        }
        let both = head(&with(&[("host", b"other.example")])).unwrap();
        assert_eq!(both.uri().authority().unwrap(), "x.example:8080");
    }

    #[test]
    fn fields_that_make_no_request_are_a_bad_argument() {
        let missing = |name: &str| {
            with(&[])
                .into_iter()
                .filter(|(line, _)| line != name.as_bytes())
                .collect()
        };
        let replaced = |name: &'static str, value: &[u8]| -> Vec<_> {
            [missing(name), lines(&[(name, value)])].concat()
        };
        let cases: Vec<(Vec<_>, &str)> = vec![
            (missing(":method"), "missing :method"),
            (missing(":path"), "missing :path"),
            (missing(":authority"), "missing :authority"),
            (replaced(":method", b"GE T"), "invalid :method"),
            (replaced(":method", b"CONNECT"), "invalid :method"),
            (replaced(":path", b"/ HTTP/1.1\r\nx: y"), "invalid :path"),
            (replaced(":authority", b""), "invalid :authority"),
            (replaced(":authority", b"user@host"), "invalid :authority"),
            (replaced(":authority", b"a b"), "invalid :authority"),
            (with(&[(":method", b"GET")]), "more than one :method"),
            (with(&[("", b"")]), "invalid header name ``"),
            (with(&[("x y", b"")]), "invalid header name `x y`"),
            (with(&[("x", b"a\r\nb")]), "invalid value of header `x`"),
        ];
        for (lines, reason) in cases {
            let failure = head(&lines).unwrap_err();
            assert_eq!(
                (failure.status, failure.reason.as_str()),
                (Status::BadArgument, reason)
            );
        }
    }

    #[test]
    fn trailers_are_fields_without_pseudo_headers() {
        let found = trailers(&lines(&[("X-Sum", b"1"), ("content-length", b"3")]))
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.len(), &found["x-sum"]),
            (1, &HeaderValue::from_static("1"))
        );
        assert_eq!(trailers(&lines(&[("host", b"a")])).unwrap(), None);
        assert!(trailers(&lines(&[(":status", b"200")])).is_err());
    }
}
