//! `routes:`.

use std::sync::Arc;

use indexmap::IndexMap;

use super::bytes::configuration;
use super::headers::headers;
use super::upstream::UpstreamDefaults;
use super::{filter, names, or, upstream};
use weir_http_rules::target::normalized_path;

use crate::read::{Field, Keys, quoted, unknown};
use crate::{
    FilterConfig, HostPattern, Route, RouteFilter, RouteMatch, RouteTarget, StaticResponse, Timeouts,
    Upstream,
};

/// The filters and upstreams that routes may name.
pub(super) struct Known<'a> {
    /// `None` for a filter that is there but wrong.
    pub(super) filters: &'a IndexMap<String, Option<Arc<FilterConfig>>>,
    /// As for filters.
    pub(super) upstreams: &'a IndexMap<String, Option<Arc<Upstream>>>,
    pub(super) timeouts: Timeouts,
    pub(super) upstream: UpstreamDefaults,
}

/// All routes.
pub(super) fn read_all(field: &Field<'_>, known: &Known<'_>) -> Option<Vec<Route>> {
    let items = field.items()?;
    if items.is_empty() {
        return field.expected("at least one route");
    }
    let mut routes: Vec<(Field<'_>, Route)> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let Some(route) = read(&item, index, known) else {
            continue;
        };
        for (earlier, taken) in &routes {
            let line = earlier.node.at.line;
            if taken.name == route.name {
                item.report(format!(
                    "the name {} is given twice, first in line {line}",
                    quoted(&route.name)
                ));
            }
            if taken.matches.covers(&route.matches) {
                let name = quoted(&taken.name);
                item.report(format!(
                    "never reached: the route {name} in line {line} takes all its requests, and the first route that \
                     matches is taken; expected this route before that one"
                ));
                break;
            }
        }
        routes.push((item, route));
    }
    Some(routes.into_iter().map(|(_, route)| route).collect())
}

fn read(field: &Field<'_>, index: usize, known: &Known<'_>) -> Option<Route> {
    let keys = field.keys()?;
    let name = or(keys.take("name"), format!("route-{}", index + 1), Field::string);
    // Consequences of a wrong condition would be noise.
    let matches = keys
        .take("match")
        .map_or_else(|| Some(RouteMatch::all()), |field| condition(&field));
    let filters = or(keys.take("filters"), Vec::new(), |field| {
        Some(
            field
                .items()?
                .iter()
                .filter_map(|item| route_filter(item, known))
                .collect(),
        )
    });
    let target = one_target(&keys, known);
    let strip_prefix = or(keys.take("strip_prefix"), false, Field::boolean);
    let normalize_path = or(keys.take("normalize_path"), false, Field::boolean);
    let host_rewrite = keys
        .take("host_rewrite")
        .and_then(|field| names::authority(&field));
    let timeout = or(keys.take("timeout"), known.timeouts.upstream, Field::duration);
    keys.finish();
    Some(Route {
        name,
        matches: matches?,
        filters,
        target: target?,
        strip_prefix,
        normalize_path,
        host_rewrite,
        timeout,
    })
}

/// `{ host, path_prefix }`.
pub(super) fn condition(field: &Field<'_>) -> Option<RouteMatch> {
    let keys = field.keys()?;
    let hosts = keys
        .take("host")
        .map(|field| field.items_or_one())
        .unwrap_or_default();
    let count = hosts.len();
    let hosts: Vec<HostPattern> = hosts.iter().filter_map(host_pattern).collect();
    let prefix = match keys.take_any(&["path_prefix", "prefix"]) {
        None => Some("/".to_owned()),
        Some(field) => path_prefix(&field),
    };
    let as_sent = or(keys.take("as_sent"), false, Field::boolean);
    let prefix = prefix.map(|prefix| if as_sent { prefix } else { normalized(prefix) });
    keys.finish();
    (hosts.len() == count).then_some(RouteMatch {
        hosts,
        path_prefix: prefix?,
        as_sent,
    })
}

/// As paths are spelled that are compared with it.
fn normalized(prefix: String) -> String {
    let normal = normalized_path(prefix.as_bytes()).into_owned();
    String::from_utf8(normal).unwrap_or(prefix)
}

fn host_pattern(field: &Field<'_>) -> Option<HostPattern> {
    const EXPECTED: &str = "a host without port such as example.com or \"*.example.com\"";
    let mut text = field.scalar(EXPECTED)?.to_ascii_lowercase();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    let name = text.strip_prefix("*.").unwrap_or(&text);
    let has_port = names::endpoint(name, None).is_some();
    if has_port || names::endpoint(name, Some(80)).is_none() {
        return field.expected(EXPECTED);
    }
    Some(match text.strip_prefix('*') {
        Some(suffix) => HostPattern::Below(suffix.to_owned()),
        None => HostPattern::Exact(text),
    })
}

fn path_prefix(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a path that begins with / and has no query";
    let text = field.scalar(EXPECTED)?;
    let legal = text.starts_with('/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if legal {
        Some(text.to_owned())
    } else {
        field.expected(EXPECTED)
    }
}

/// A filter's name, or a map with its name and what is different on this route.
fn route_filter(field: &Field<'_>, known: &Known<'_>) -> Option<RouteFilter> {
    if !field.is_map() {
        let (name, filter) = find(field, known)?;
        return Some(RouteFilter {
            name: name.to_owned(),
            filter: filter.clone(),
        });
    }
    let keys = field.keys()?;
    let found = keys.require("name").and_then(|field| {
        let (name, filter) = find(&field, known)?;
        Some((name.to_owned(), filter.clone()))
    });
    let plugin_configuration = keys.take("configuration").and_then(|field| configuration(&field));
    let root_id = keys.take("root_id").and_then(|field| field.string());
    let fail_policy = filter::fail_policy(&keys);
    keys.finish();
    let (name, mut filter) = found?;
    let changed = Arc::make_mut(&mut filter);
    if let Some(configuration) = plugin_configuration {
        changed.configuration = configuration;
    }
    if let Some(root_id) = root_id {
        changed.root_id = root_id;
    }
    if let Some(fail_policy) = fail_policy {
        changed.fail_policy = fail_policy;
        changed.fail_policy_given = true;
    }
    Some(RouteFilter { name, filter })
}

/// The filter that a field names. `None` without a further problem if the filter itself is wrong.
fn find<'a, 'd>(field: &Field<'d>, known: &Known<'a>) -> Option<(&'d str, &'a Arc<FilterConfig>)> {
    let name = field.scalar("the name of a filter or a map with its name")?;
    match known.filters.get(name) {
        Some(filter) => Some((name, filter.as_ref()?)),
        None => {
            let names: Vec<&str> = known.filters.keys().map(String::as_str).collect();
            field.report(unknown("filter", name, &names));
            None
        }
    }
}

/// `upstream:` or, short for `upstream: { static: ... }`, `static:`.
fn one_target(keys: &Keys<'_>, known: &Known<'_>) -> Option<RouteTarget> {
    match (keys.take("upstream"), keys.take("static")) {
        (Some(field), None) => target(&field, known),
        (None, Some(field)) => static_response(&field).map(RouteTarget::Static),
        (None, None) => {
            keys.field()
                .report("expected the key \"upstream\" or \"static\", found neither");
            None
        }
        (Some(_), Some(field)) => {
            field.report("stands beside \"upstream\"; expected one of them");
            None
        }
    }
}

/// `echo`, the name of an upstream, `{ static: ... }` or an upstream's short form.
fn target(field: &Field<'_>, known: &Known<'_>) -> Option<RouteTarget> {
    if field.is_map() {
        let keys = field.keys()?;
        let response = keys.require("static").and_then(|field| static_response(&field));
        keys.finish();
        return response.map(RouteTarget::Static);
    }
    let name = field.scalar("echo, the name of an upstream or a map with static")?;
    if name == "echo" {
        return Some(RouteTarget::Echo);
    }
    if name.contains("://") {
        let upstream = upstream::read(name, field, known.upstream)?;
        return Some(RouteTarget::Upstream(Arc::new(upstream)));
    }
    match known.upstreams.get(name) {
        Some(upstream) => upstream.clone().map(RouteTarget::Upstream),
        None => {
            let mut names: Vec<&str> = known.upstreams.keys().map(String::as_str).collect();
            names.push("echo");
            names.dedup();
            field.report(unknown("upstream", name, &names));
            None
        }
    }
}

fn static_response(field: &Field<'_>) -> Option<StaticResponse> {
    let keys = field.keys()?;
    let status = or(keys.take("status"), 200, |field| {
        field.number(200, 599).map(|status| status as u16)
    });
    let body = or(keys.take("body"), Vec::new(), configuration);
    let headers = or(keys.take("headers"), Vec::new(), headers);
    keys.finish();
    Some(StaticResponse {
        status,
        headers,
        body,
    })
}
