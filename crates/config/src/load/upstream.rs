//! `upstreams:`.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::names;
use super::or;
use crate::read::{Field, Keys};
use crate::{
    ClientIdentity, Endpoint, HeadLimits, Limits, Protocol, Timeouts, Trailers, Upstream, UpstreamTls,
};

const SHORT_FORM: &str = "http://host:port, https://host:port or a map with endpoints";

/// What the document says for all upstreams.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpstreamDefaults {
    /// For those that give no idle timeout.
    pub idle: Duration,
    /// Bounds on heads of responses.
    pub head: HeadLimits,
}

impl UpstreamDefaults {
    pub(super) fn new(timeouts: &Timeouts, limits: &Limits) -> Self {
        Self {
            idle: timeouts.upstream_idle,
            head: HeadLimits {
                bytes: limits.header_bytes,
                lines: limits.header_count,
            },
        }
    }
}

/// All upstreams of a map by name; `None` for those that are wrong, so that they may still be named.
pub(super) fn read_all(
    field: &Field<'_>,
    defaults: UpstreamDefaults,
) -> Option<IndexMap<String, Option<Arc<Upstream>>>> {
    let mut upstreams = IndexMap::new();
    for (name, field) in field.named()? {
        if name == "echo" {
            field.report("\"echo\" is the built-in upstream; expected another name");
        }
        upstreams.insert(name.to_owned(), read(name, &field, defaults).map(Arc::new));
    }
    Some(upstreams)
}

/// The entries of `direct_upstreams`, each under the `host:port` that the guest uses.
pub(super) fn read_direct(field: &Field<'_>, defaults: UpstreamDefaults) -> Option<Vec<Arc<Upstream>>> {
    const EXPECTED: &str = "host:port";
    let read_one = |field: Field<'_>| {
        let text = field.scalar(EXPECTED)?;
        match names::endpoint(text, None) {
            Some(endpoint) => Some(Arc::new(plain(text, endpoint, None, defaults))),
            None => field.expected(EXPECTED),
        }
    };
    Some(field.items()?.into_iter().filter_map(read_one).collect())
}

/// One upstream, in its short form or as a map.
pub(super) fn read(name: &str, field: &Field<'_>, defaults: UpstreamDefaults) -> Option<Upstream> {
    if field.is_map() {
        return from_map(name, field, defaults);
    }
    let text = field.scalar(SHORT_FORM)?;
    from_url(name, text, defaults).or_else(|| field.expected(SHORT_FORM))
}

fn from_url(name: &str, text: &str, defaults: UpstreamDefaults) -> Option<Upstream> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    match scheme {
        "http" if text.contains("://") => {
            Some(plain(name, names::endpoint(authority, Some(80))?, None, defaults))
        }
        "http" => Some(plain(name, names::endpoint(authority, None)?, None, defaults)),
        "https" => {
            let endpoint = names::endpoint(authority, Some(443))?;
            Some(plain(name, endpoint, Some(UpstreamTls::default()), defaults))
        }
        _ => None,
    }
}

fn plain(name: &str, endpoint: Endpoint, tls: Option<UpstreamTls>, defaults: UpstreamDefaults) -> Upstream {
    Upstream {
        tls,
        idle_timeout: defaults.idle,
        head: defaults.head,
        ..Upstream::new(name, vec![endpoint])
    }
}

fn from_map(name: &str, field: &Field<'_>, defaults: UpstreamDefaults) -> Option<Upstream> {
    let keys = field.keys()?;
    let endpoints = keys.require("endpoints").and_then(|field| endpoints(&field));
    let protocol = or(keys.take("protocol"), Protocol::Auto, |field| {
        field.choice(&[
            ("auto", Protocol::Auto),
            ("http1", Protocol::Http1),
            ("http2", Protocol::Http2),
        ])
    });
    let tls = keys.take("tls").and_then(|field| tls(&field));
    let authority = keys.take("authority").and_then(|field| names::authority(&field));
    let (mut connect_timeout, mut idle_timeout) = (Upstream::CONNECT_TIMEOUT, defaults.idle);
    if let Some(timeouts) = keys.take("timeouts").and_then(|field| field.keys()) {
        connect_timeout = or(timeouts.take("connect"), connect_timeout, Field::duration);
        idle_timeout = or(timeouts.take("idle"), idle_timeout, Field::duration);
        timeouts.finish();
    }
    let max_age = keys.take("max_age").and_then(|field| field.duration());
    let trailers = trailers(&keys);
    keys.finish();
    Some(Upstream {
        protocol,
        tls,
        connect_timeout,
        idle_timeout,
        authority,
        head: defaults.head,
        max_age,
        trailers,
        ..Upstream::new(name, endpoints?)
    })
}

/// `trailers` of a listener or an upstream.
pub(super) fn trailers(keys: &Keys<'_>) -> Trailers {
    or(keys.take("trailers"), Trailers::default(), |field| {
        field.choice(&[("pass", Trailers::Pass), ("drop", Trailers::Drop)])
    })
}

fn endpoints(field: &Field<'_>) -> Option<Vec<Endpoint>> {
    const EXPECTED: &str = "host:port";
    let read_one = |field: Field<'_>| {
        names::endpoint(field.scalar(EXPECTED)?, None).or_else(|| field.expected(EXPECTED))
    };
    let items = field.items_or_one();
    if items.is_empty() {
        return field.expected("at least one host:port");
    }
    Some(items.into_iter().filter_map(read_one).collect())
}

/// `tls: true`, `tls: {}` or a map with what differs from the defaults.
fn tls(field: &Field<'_>) -> Option<UpstreamTls> {
    if !field.is_map() && !field.node.is_null() {
        let on = field.boolean_or("true, false or a map")?;
        return on.then(UpstreamTls::default);
    }
    let keys = field.keys()?;
    let server_name = keys
        .take("server_name")
        .and_then(|field| names::server_name(&field));
    let ca = keys.take("ca").and_then(|field| field.existing_file());
    let insecure_skip_verify = or(keys.take("insecure_skip_verify"), false, Field::boolean);
    let certificate = keys.take("certificate");
    let private_key = keys.take("private_key");
    let client = match (&certificate, &private_key) {
        (Some(certificate), Some(key)) => {
            certificate
                .existing_file()
                .zip(key.existing_file())
                .map(|(certificate, private_key)| ClientIdentity {
                    certificate,
                    private_key,
                })
        }
        (Some(lone), None) | (None, Some(lone)) => {
            lone.report("expected certificate and private_key together, found one of them");
            None
        }
        (None, None) => None,
    };
    keys.finish();
    Some(UpstreamTls {
        server_name,
        ca,
        insecure_skip_verify,
        client,
    })
}
