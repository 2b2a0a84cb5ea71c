//! Routes: each takes some requests through its filters to its target.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use weir_http_rules::target;

use crate::types::{FilterConfig, Upstream};

/// A route. Routes are tried in the order of the file; the first that matches is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name, for logs and the property `xds.route_name`; `route-1`, `route-2`, ... unless given. No two are equal.
    pub name: String,
    /// Condition on the requests that the route takes.
    pub matches: RouteMatch,
    /// The filter chain, in the order of requests; responses pass it in reverse.
    pub filters: Vec<RouteFilter>,
    /// The end of the chain: an upstream, or an answer of the proxy's own.
    pub target: RouteTarget,
    /// True if the proxy cuts the matched path prefix off before the request goes upstream; false unless given.
    pub strip_prefix: bool,
    /// True if the path goes upstream in the spelling that conditions compare, not as the client sent it; false unless given.
    pub normalize_path: bool,
    /// Replaces the request's authority (`Host`) on the way upstream, if given. Goes before the upstream's own.
    pub host_rewrite: Option<String>,
    /// The longest wait for response headers; [`Timeouts::upstream`](crate::Timeouts::upstream) unless given.
    pub timeout: Duration,
}

/// A filter in the chain of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFilter {
    /// The filter's name under `filters:`.
    pub name: String,
    /// The filter with what the route changed: its configuration, root id and fail policy. The VM part is never
    /// changed, so that one VM serves all routes.
    pub filter: Arc<FilterConfig>,
}

/// The target of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// The built-in upstream that answers with the request's own headers and body.
    Echo,
    /// The built-in upstream that always gives the same answer.
    Static(StaticResponse),
    /// An upstream of the configuration.
    Upstream(Arc<Upstream>),
}

/// An answer written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticResponse {
    /// 200 to 599; 200 unless given.
    pub status: u16,
    /// Header lines in order; names are legal field names, values have no line break.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A condition on host and path; both must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// Any of these; empty means every host.
    pub hosts: Vec<HostPattern>,
    /// Begins with `/`. Matches whole segments: `/a` takes `/a`, `/a/b` and `/a?x`, not `/ab`. `/` takes every path.
    pub path_prefix: String,
    /// True if the path is compared as the client sent it; false unless given.
    pub as_sent: bool,
}

/// The host and the path of a request, as conditions compare them. Made once for each request; allocates only where the path
/// is not spelled as conditions are.
#[derive(Clone, Debug)]
pub struct RequestTarget<'a> {
    host: &'a [u8],
    sent: &'a [u8],
    path: Cow<'a, [u8]>,
    /// The path as an origin reads it that takes escaped slashes for slashes.
    other: Option<Vec<u8>>,
}

impl<'a> RequestTarget<'a> {
    /// `authority` with or without a port, in any case; `path` may carry a query.
    pub fn new(authority: &'a [u8], path: &'a [u8]) -> Self {
        let other = target::with_slashes_unescaped(path);
        Self {
            host: target::bare_host(authority),
            sent: path,
            path: target::normalized_path(path),
            other: other.map(|path| target::normalized_path(&path).into_owned()),
        }
    }

    /// Returns the path in the spelling that conditions are written for, with its query.
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}

impl RouteMatch {
    /// The condition that always holds.
    pub fn all() -> Self {
        Self {
            hosts: Vec::new(),
            path_prefix: "/".to_owned(),
            as_sent: false,
        }
    }

    /// Returns true if a request meets the condition.
    pub fn matches(&self, target: &RequestTarget<'_>) -> bool {
        let path = if self.as_sent { target.sent } else { &target.path };
        self.matches_path(path) && self.matches_host(target.host)
    }

    /// Returns true if an origin may take the request for one that meets the condition: as [`RouteMatch::matches`], also where
    /// escaped slashes are slashes.
    pub fn may_match(&self, target: &RequestTarget<'_>) -> bool {
        let other = target.other.as_ref().filter(|_| !self.as_sent);
        self.matches(target)
            || other.is_some_and(|path| self.matches_path(path) && self.matches_host(target.host))
    }

    fn matches_host(&self, host: &[u8]) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    fn matches_path(&self, path: &[u8]) -> bool {
        // A target that is no path ("*" of OPTIONS, the target of CONNECT) belongs to the route that takes everything.
        let prefix = self.path_prefix.as_bytes();
        if prefix == b"/" {
            return true;
        }
        let Some(rest) = path.strip_prefix(prefix) else {
            return false;
        };
        prefix.ends_with(b"/") || matches!(rest.first(), None | Some(b'/' | b'?' | b'#'))
    }

    /// Returns true if every request that meets `other` meets this one too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let paths = self.matches_path(other.path_prefix.as_bytes());
        let hosts = self.hosts.is_empty()
            || (!other.hosts.is_empty()
                && other
                    .hosts
                    .iter()
                    .all(|theirs| self.hosts.iter().any(|ours| ours.covers(theirs))));
        paths && hosts && (!self.as_sent || other.as_sent || self.path_prefix == "/")
    }
}

/// A host name, or all names below one. Always lower-case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any name that ends so and is longer.
    Below(String),
}

impl HostPattern {
    /// Returns true if a host without port, in any case, meets the pattern.
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Below(suffix) => {
                host.len() > suffix.len()
                    && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes())
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other {
            Self::Exact(name) => self.matches(name.as_bytes()),
            Self::Below(theirs) => match self {
                Self::Exact(_) => false,
                Self::Below(ours) => theirs.ends_with(ours.as_str()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hosts: &[&str], prefix: &str) -> RouteMatch {
        let hosts = hosts.iter().map(|host| match host.strip_prefix('*') {
            Some(suffix) => HostPattern::Below(suffix.to_owned()),
            None => HostPattern::Exact((*host).to_owned()),
        });
        RouteMatch {
            hosts: hosts.collect(),
            path_prefix: prefix.to_owned(),
            as_sent: false,
        }
    }

    fn takes(rule: &RouteMatch, host: &str, path: &str) -> bool {
        rule.matches(&RequestTarget::new(host.as_bytes(), path.as_bytes()))
    }

    #[test]
    fn other_spellings_do_not_pass_a_condition_by() {
        let rule = rule(&["a.example"], "/private");
        for (host, path) in [
            ("a.example.", "/private"),
            ("A.example.:80", "//private"),
            ("a.example", "/x/..;y/%70rivate;z/a"),
        ] {
            assert!(takes(&rule, host, path), "{host} {path}");
        }
        // Who is sure that the origin reads a path as it is written compares it so.
        let mut exact = rule.clone();
        exact.as_sent = true;
        assert!(!takes(&exact, "a.example", "//private") && takes(&exact, "a.example.", "/private"));
        // Some origins take an escaped slash for a slash: filters see the request, routes do not change.
        let either = RequestTarget::new(b"a.example", b"/private%2fx");
        assert!(rule.may_match(&either) && !rule.matches(&either));
        assert!(!exact.may_match(&either) && !rule.may_match(&RequestTarget::new(b"b", b"/private%2fx")));
    }

    #[test]
    fn a_prefix_takes_whole_segments() {
        let rule = rule(&[], "/a");
        for path in ["/a", "/a/", "/a/b", "/a?x=1", "/a#f"] {
            assert!(takes(&rule, "", path), "{path}");
        }
        for path in ["/", "/ab", "/A", "", "*", "a"] {
            assert!(!takes(&rule, "", path), "{path}");
        }
    }

    #[test]
    fn a_prefix_with_a_slash_takes_what_is_below() {
        let rule = rule(&[], "/a/");
        assert!(takes(&rule, "", "/a/b"));
        assert!(takes(&rule, "", "/a/"));
        assert!(!takes(&rule, "", "/a"));
    }

    #[test]
    fn the_root_takes_what_is_no_path_too() {
        assert!(takes(&RouteMatch::all(), "anything", "*"));
        assert!(takes(&RouteMatch::all(), "anything", ""));
    }

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        let rule = rule(&["example.com", "*.example.org", "[::1]"], "/");
        for host in [
            "example.com",
            "EXAMPLE.com:8080",
            "a.Example.org",
            "a.b.example.org:1",
            "[::1]",
            "[::1]:80",
        ] {
            assert!(takes(&rule, host, "/"), "{host}");
        }
        for host in [
            "",
            "example.org",
            ".example.org",
            "aexample.com",
            "example.com..",
            "[::2]:80",
            "xexample.org",
        ] {
            assert!(!takes(&rule, host, "/"), "{host}");
        }
    }

    #[test]
    fn a_condition_covers_narrower_ones_only() {
        assert!(rule(&[], "/").covers(&rule(&["a"], "/x")));
        assert!(rule(&["*.b"], "/x").covers(&rule(&["a.b", "*.c.b"], "/x/y")));
        assert!(!rule(&["*.b"], "/x").covers(&rule(&["a.b", "b"], "/x/y")));
        assert!(!rule(&["a"], "/").covers(&rule(&[], "/")));
        assert!(!rule(&[], "/x").covers(&rule(&[], "/xy")));
        assert!(!rule(&[], "/x/").covers(&rule(&[], "/x")));
        assert!(rule(&[], "/x").covers(&rule(&[], "/x/")));
    }
}
