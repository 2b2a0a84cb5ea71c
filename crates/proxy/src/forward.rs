//! The request as it goes to the upstream.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use weir_chain::RequestHead;
use weir_http_rules::fields;
use weir_http_rules::target::normalized_path;

use crate::revision::RoutePlan;

/// Makes the request that goes upstream. `keep`: the head stays readable for filters, so it is copied.
pub(crate) fn request<B>(
    head: &mut RequestHead,
    keep: bool,
    route: &RoutePlan,
    upstream_authority: Option<&str>,
    upgrade: Option<&HeaderValue>,
    body: B,
) -> Request<B> {
    let mut lines: HeaderMap = if keep {
        head.fields.clone()
    } else {
        std::mem::take(&mut head.fields)
    };
    if upgrade.is_some() {
        fields::strip_hop_by_hop(&mut lines);
    }
    if let Some(protocol) = upgrade {
        lines.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        lines.insert(header::UPGRADE, protocol.clone());
    }
    let authority = match (&route.host_rewrite, upstream_authority) {
        (Some(rewrite), _) => rewrite.clone(),
        (None, Some(authority)) => Bytes::copy_from_slice(authority.as_bytes()),
        (None, None) => head.authority.clone(),
    };
    // An empty one is sent as it is (RFC 9112, 3.2), where the protocol has room for it.
    if lines
        .get(header::HOST)
        .is_none_or(|host| host.as_bytes() != authority)
        && let Ok(host) = HeaderValue::from_maybe_shared(authority)
    {
        lines.insert(header::HOST, host);
    }
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from(path(head, route));
    *request.headers_mut() = lines;
    request
}

fn path(head: &RequestHead, route: &RoutePlan) -> PathAndQuery {
    let sent = head.path.sent().as_str();
    if !route.strip_prefix && !route.normalize_path {
        return head.path.sent().clone();
    }
    let normal = normalized_path(sent.as_bytes());
    let normal = std::str::from_utf8(&normal).unwrap_or(sent);
    let stripped = |path: &str| match route.strip_prefix {
        true => strip(path, &route.matches.path_prefix),
        false => Some(path.to_owned()),
    };
    // The condition may have taken another spelling of the prefix.
    let as_sent = if route.normalize_path {
        None
    } else {
        stripped(sent)
    };
    as_sent
        .or_else(|| stripped(normal))
        .and_then(|path| PathAndQuery::try_from(path).ok())
        .unwrap_or_else(|| head.path.sent().clone())
}

/// Cuts a prefix off a path; what is left begins with `/`. `None` where the path does not begin with it, because a
/// filter has changed it.
fn strip(path: &str, prefix: &str) -> Option<String> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    match rest.as_bytes().first() {
        Some(b'/') => Some(rest.to_owned()),
        None | Some(b'?') => Some(format!("/{rest}")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_cut_at_segments() {
        for (path, prefix, expected) in [
            ("/a/b?c", "/a", Some("/b?c")),
            ("/a", "/a", Some("/")),
            ("/a?x", "/a", Some("/?x")),
            ("/a/b", "/a/", Some("/b")),
            ("/a/b", "/", Some("/a/b")),
            ("/ab", "/a", None),
            ("/x", "/a", None),
        ] {
            assert_eq!(strip(path, prefix).as_deref(), expected, "{path} {prefix}");
        }
    }
}
