//! The document of `weir serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use indexmap::IndexMap;

use super::filter::{self, Defaults};
use super::route::{self, Known};
use super::upstream::{UpstreamDefaults, trailers};
use super::{or, process, upstream};
use crate::read::{Document, Field, Keys};
use crate::{AccessLog, FilterConfig, Limits, Listener, ListenerTls, ProxyConfig, Start, Timeouts};

const MAX_WORKERS: usize = 1024;

pub(super) fn read(root: &Field<'_>) -> Option<ProxyConfig> {
    let keys = root.keys()?;
    let config = take(&keys);
    keys.finish();
    config
}

/// Takes all keys that the document may have.
pub(super) fn take(keys: &Keys<'_>) -> Option<ProxyConfig> {
    let limits = or(keys.take("limits"), Limits::default(), limits);
    let timeouts = or(keys.take("timeouts"), Timeouts::default(), timeouts);
    let listeners = listeners(keys);
    let upstream_defaults = UpstreamDefaults::new(&timeouts, &limits);
    let upstreams = or(keys.take("upstreams"), IndexMap::new(), |field| {
        upstream::read_all(field, upstream_defaults)
    });
    let good_upstreams = good(&upstreams);
    let filters = or(keys.take("filters"), IndexMap::new(), |field| {
        filters(
            field,
            &Defaults {
                name: String::new(),
                body_limit: limits.body,
                upstream: upstream_defaults,
                upstreams: good_upstreams.clone(),
            },
        )
    });
    let known = Known {
        filters: &filters,
        upstreams: &upstreams,
        timeouts,
        upstream: upstream_defaults,
    };
    let routes = keys
        .require("routes")
        .and_then(|field| route::read_all(&field, &known));
    let workers = keys
        .take("workers")
        .and_then(|field| field.number(1, MAX_WORKERS));
    let access_log = or(keys.take("access_log"), AccessLog::default(), access_log);
    let start = or(keys.take("start"), Start::default(), |field| {
        field.choice(&[("strict", Start::Strict), ("lenient", Start::Lenient)])
    });
    let process = process::read(keys, listeners.as_deref().unwrap_or_default());
    let watch = or(keys.take("watch"), true, Field::boolean);
    Some(ProxyConfig {
        source: keys.field().document.path.clone(),
        listeners: listeners?,
        upstreams: good_upstreams,
        filters: good(&filters),
        routes: routes?,
        workers: workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
        limits,
        timeouts,
        access_log,
        start,
        process,
        watch,
    })
}

/// The values that could be read. If any could not, the whole configuration is refused in the end.
fn good<T>(all: &IndexMap<String, Option<Arc<T>>>) -> IndexMap<String, Arc<T>> {
    all.iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect()
}

fn listeners(keys: &Keys<'_>) -> Option<Vec<Listener>> {
    let Some(field) = keys.take_any(&["listeners", "listen"]) else {
        return Some(vec![Listener::new(Listener::DEFAULT)]);
    };
    let items = field.items_or_one();
    if items.is_empty() {
        return field.expected("at least one listener");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for item in items {
        let Some(listener) = listener(&item) else {
            continue;
        };
        let taken = |other: &Listener| other.address == listener.address && listener.address.port() != 0;
        if listeners.iter().any(taken) {
            item.report(format!("the address {} is given twice", listener.address));
        }
        listeners.push(listener);
    }
    Some(listeners)
}

/// An address, or a map with it.
fn listener(field: &Field<'_>) -> Option<Listener> {
    if !field.is_map() {
        return Some(Listener::new(address(field)?));
    }
    let keys = field.keys()?;
    let address = keys.require("address").and_then(|field| address(&field));
    let tls = keys.take("tls").map(|field| listener_tls(&field));
    let trailers = trailers(&keys);
    keys.finish();
    Some(Listener {
        address: address?,
        tls: tls.flatten(),
        trailers,
    })
}

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    const EXPECTED: &str = "an IP address and a port such as 127.0.0.1:8080 or \"[::]:8080\"";
    field
        .scalar(EXPECTED)?
        .parse()
        .ok()
        .or_else(|| field.expected(EXPECTED))
}

fn listener_tls(field: &Field<'_>) -> Option<ListenerTls> {
    let keys = field.keys()?;
    let certificate = keys
        .require("certificate")
        .and_then(|field| field.existing_file());
    let private_key = keys
        .require("private_key")
        .and_then(|field| field.existing_file());
    let client_ca = keys.take("client_ca").and_then(|field| field.existing_file());
    keys.finish();
    Some(ListenerTls {
        certificate: certificate?,
        private_key: private_key?,
        client_ca,
    })
}

/// Every filter by name; `None` for those that are wrong, so that routes may still name them.
fn filters(field: &Field<'_>, defaults: &Defaults) -> Option<IndexMap<String, Option<Arc<FilterConfig>>>> {
    let named = field.named()?.into_iter();
    Some(
        named
            .map(|(name, field)| (name.to_owned(), one_filter(name, &field, defaults).map(Arc::new)))
            .collect(),
    )
}

fn one_filter(name: &str, field: &Field<'_>, defaults: &Defaults) -> Option<FilterConfig> {
    let defaults = Defaults {
        name: name.to_owned(),
        upstreams: defaults.upstreams.clone(),
        ..*defaults
    };
    let keys = field.keys()?;
    if !keys.has("file") {
        return filter::read(field, &defaults);
    }
    let file = keys.take("file");
    keys.finish();
    let file = file?;
    let path = file.existing_file()?;
    let document = Document::open(file.document.session, &shown(&file, path)?)?;
    filter::read(&document.root(), &defaults)
}

/// The file as messages name it: beside the file that names it, in that one's spelling.
fn shown(file: &Field<'_>, path: PathBuf) -> Option<PathBuf> {
    let written = file.scalar("a file name")?;
    let folder = file.document.shown.parent().unwrap_or(Path::new(""));
    // By its components, which drops what says nothing (`./`).
    let beside: PathBuf = folder.join(written).components().collect();
    Some(
        if std::path::absolute(&beside).is_ok_and(|beside| beside == path) {
            beside
        } else {
            path
        },
    )
}

fn limits(field: &Field<'_>) -> Option<Limits> {
    let keys = field.keys()?;
    let defaults = Limits::default();
    let limits = Limits {
        body: or(keys.take("body"), defaults.body, Field::size),
        header_bytes: or(keys.take("header_bytes"), defaults.header_bytes, Field::size),
        header_count: or(keys.take("header_count"), defaults.header_count, |field| {
            field.number(1, usize::MAX)
        }),
        connections: keys
            .take("connections")
            .and_then(|field| field.number(1, usize::MAX)),
        refuse_escaped_slashes: or(keys.take("escaped_slashes"), false, |field| {
            field.choice(&[("keep", false), ("refuse", true)])
        }),
    };
    keys.finish();
    Some(limits)
}

fn timeouts(field: &Field<'_>) -> Option<Timeouts> {
    let keys = field.keys()?;
    let defaults = Timeouts::default();
    let timeouts = Timeouts {
        request_header: or(
            keys.take("request_header"),
            defaults.request_header,
            Field::duration,
        ),
        client_idle: or(keys.take("client_idle"), defaults.client_idle, Field::duration),
        upstream: or(keys.take("upstream"), defaults.upstream, Field::duration),
        upstream_idle: or(
            keys.take("upstream_idle"),
            defaults.upstream_idle,
            Field::duration,
        ),
        stream_idle: or(keys.take("stream_idle"), defaults.stream_idle, Field::duration),
        tunnel_idle: or(keys.take("tunnel_idle"), defaults.tunnel_idle, Field::duration),
        drain: or(keys.take("drain"), defaults.drain, Field::duration),
    };
    keys.finish();
    Some(timeouts)
}

fn access_log(field: &Field<'_>) -> Option<AccessLog> {
    let text = field.scalar("stdout, stderr, off or a file name")?;
    Some(match text {
        "stdout" => AccessLog::Stdout,
        "stderr" => AccessLog::Stderr,
        "off" | "false" => AccessLog::Off,
        _ => AccessLog::File(field.new_file()?),
    })
}
