//! The form of a request in each protocol: where the authority stands, how the body is framed, what may not pass.

use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body::Body;
use weir_http_rules::fields::{lists, strip_hop_by_hop};
use weir_http_rules::method::needs_length;

use crate::error::SendError;

/// Writes a request the HTTP/1.1 way. Works on any request, also on one that already has this form or the other.
/// `fallback` is the authority of a request that names none.
pub(crate) fn to_http1<B: Body>(
    request: &mut Request<B>,
    rewrite: Option<&Authority>,
    fallback: impl FnOnce() -> String,
    room_for_trailers: bool,
) -> Result<(), SendError> {
    *request.version_mut() = Version::HTTP_11;
    if request.method() != Method::CONNECT {
        let authority = rewrite.or(request.uri().authority()).map(Authority::as_str);
        if authority.is_some() || !request.headers().contains_key(header::HOST) {
            let host = match authority {
                Some(authority) => HeaderValue::from_str(authority),
                None => HeaderValue::from_str(&fallback()),
            };
            let host = host.map_err(|_| SendError::InvalidRequest {
                what: "the authority is malformed",
            })?;
            request.headers_mut().insert(header::HOST, host);
        }
        if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
            let path = path_and_query(request.uri());
            *request.uri_mut() = Uri::from(path);
        }
    }
    let headers = request.headers_mut();
    if headers.contains_key(header::TE) && !lists(headers, &header::CONNECTION, b"te") {
        // In HTTP/1.1 `TE` is of no effect unless declared to belong to the connection (RFC 9110, section 10.1.4).
        headers.append(header::CONNECTION, HeaderValue::from_static("te"));
    }
    frame_http1(request, room_for_trailers);
    Ok(())
}

/// Sees to it that hyper frames the body as it should be. hyper sends no body at all with a GET or HEAD whose
/// length it does not know, and no length with a POST that has no body, which some servers refuse.
fn frame_http1<B: Body>(request: &mut Request<B>, room_for_trailers: bool) {
    if request.headers().contains_key(header::CONTENT_LENGTH) {
        return;
    }
    if request.body().is_end_stream() {
        if needs_length(request.method().as_str().as_bytes()) {
            request
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if room_for_trailers || request.body().size_hint().exact().is_none() {
        request
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Writes a request the HTTP/2 way. As [`to_http1`] otherwise.
pub(crate) fn to_http2<B>(
    request: &mut Request<B>,
    rewrite: Option<&Authority>,
    fallback: impl FnOnce() -> String,
    tls: bool,
) -> Result<(), SendError> {
    *request.version_mut() = Version::HTTP_2;
    let malformed = SendError::InvalidRequest {
        what: "the authority is malformed",
    };
    if request.method() != Method::CONNECT {
        let host = request.headers().get(header::HOST);
        let authority = match (rewrite.or(request.uri().authority()), host) {
            (Some(authority), _) => authority.clone(),
            (None, Some(host)) => Authority::try_from(host.as_bytes()).map_err(|_| malformed.clone())?,
            (None, None) => Authority::try_from(fallback()).map_err(|_| malformed.clone())?,
        };
        let uri = Uri::builder()
            .scheme(if tls { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(authority)
            .path_and_query(path_and_query(request.uri()))
            .build();
        *request.uri_mut() = uri.map_err(|_| malformed)?;
    }
    strip_hop_by_hop(request.headers_mut());
    request.headers_mut().remove(header::HOST);
    Ok(())
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::HeaderName;
    use http_body::Frame;
    use http_body_util::{Empty, Full};

    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Request<Empty<Bytes>> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Empty::new()).unwrap()
    }

    fn endpoint() -> String {
        "10.0.0.1:80".to_owned()
    }

    #[test]
    fn http1_has_the_authority_in_host() {
        for (uri, headers, rewrite, host) in [
            ("/p?q", &[("host", "a.example")][..], None, "a.example"),
            (
                "http://b.example:8080/p?q",
                &[("host", "a.example")],
                None,
                "b.example:8080",
            ),
            ("/p?q", &[("host", "a.example")], Some("c.example"), "c.example"),
            ("/p?q", &[], None, "10.0.0.1:80"),
        ] {
            let mut request = request("GET", uri, headers);
            let rewrite = rewrite.map(Authority::from_static);
            to_http1(&mut request, rewrite.as_ref(), endpoint, false).unwrap();
            assert_eq!(request.headers()["host"], host, "{uri}");
            assert_eq!(request.uri().to_string(), "/p?q");
        }
    }

    #[test]
    fn http2_has_the_authority_in_the_target_and_nothing_of_the_connection() {
        let headers = [
            ("host", "a.example"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers, deflate"),
            ("upgrade", "websocket"),
            ("x-end", "2"),
        ];
        let mut request = request("GET", "/p?q", &headers);
        to_http2(&mut request, None, endpoint, true).unwrap();
        assert_eq!(request.uri().to_string(), "https://a.example/p?q");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["te", "x-end"]);
        assert_eq!(request.headers()["te"], "trailers");
    }

    #[test]
    fn a_request_goes_from_one_form_to_the_other_and_back() {
        let mut request = request("OPTIONS", "*", &[("host", "a.example:81")]);
        to_http2(&mut request, None, endpoint, false).unwrap();
        assert_eq!(request.uri().authority().unwrap(), "a.example:81");
        to_http1(&mut request, None, endpoint, false).unwrap();
        assert_eq!(
            (request.uri().path(), &request.headers()["host"]),
            ("*", &HeaderValue::from_static("a.example:81"))
        );
    }

    #[test]
    fn trailers_are_welcomed_in_the_way_of_each_protocol() {
        let mut request = request("GET", "/", &[("host", "a"), ("te", "gzip, Trailers")]);
        to_http2(&mut request, None, endpoint, false).unwrap();
        assert_eq!(request.headers()["te"], "trailers");
        for _ in 0..2 {
            to_http1(&mut request, None, endpoint, false).unwrap();
            let connection: Vec<_> = request.headers().get_all("connection").iter().collect();
            assert_eq!(
                (connection, &request.headers()["te"]),
                (
                    vec![&HeaderValue::from_static("te")],
                    &HeaderValue::from_static("trailers")
                )
            );
        }
        strip_hop_by_hop(request.headers_mut());
        assert!(!request.headers().contains_key("connection"));
    }

    #[test]
    fn bodies_are_framed_so_that_hyper_sends_them() {
        let mut get = Request::get("/").body(Unknown).unwrap();
        to_http1(&mut get, None, endpoint, false).unwrap();
        assert_eq!(get.headers()["transfer-encoding"], "chunked");

        let mut known = Request::post("/")
            .body(Full::new(Bytes::from_static(b"abc")))
            .unwrap();
        to_http1(&mut known, None, endpoint, false).unwrap();
        assert!(!known.headers().contains_key("transfer-encoding"));
        to_http1(&mut known, None, endpoint, true).unwrap();
        assert_eq!(known.headers()["transfer-encoding"], "chunked");

        let mut empty = request("POST", "/", &[]);
        to_http1(&mut empty, None, endpoint, true).unwrap();
        assert_eq!(empty.headers()["content-length"], "0");
    }

    /// A body of unknown length.
    struct Unknown;

    impl Body for Unknown {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }
    }
}
