//! Routes: their filters, and their targets.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use weir_config::{FilterConfig, Route, RouteTarget};
use weir_outbound::{LoadedUpstream, UpstreamError, Upstreams};
use weir_plan::Planned;

use crate::revision::{FilterPlan, RoutePlan, StaticAnswer, Target};

/// Plans a route whose filters have been planned.
pub(crate) fn plan(route: &Route, target: Target, planned: &Planned) -> RoutePlan {
    RoutePlan {
        name: route.name.as_str().into(),
        matches: route.matches.clone(),
        strip_prefix: route.strip_prefix,
        normalize_path: route.normalize_path,
        host_rewrite: route.host_rewrite.clone().map(Bytes::from),
        timeout: route.timeout,
        cluster: cluster(&route.target),
        target,
        filters: route
            .filters
            .iter()
            .map(|filter| plan_filter(&filter.name, &filter.filter, planned))
            .collect(),
    }
}

fn plan_filter(name: &str, filter: &Arc<FilterConfig>, planned: &Planned) -> FilterPlan {
    FilterPlan {
        name: name.into(),
        config: Arc::clone(filter),
        vm: planned.position(filter),
        limit: usize::try_from(filter.body_limit).unwrap_or(usize::MAX),
    }
}

fn cluster(target: &RouteTarget) -> Arc<str> {
    match target {
        RouteTarget::Echo => "echo".into(),
        RouteTarget::Static(_) => "static".into(),
        RouteTarget::Upstream(upstream) => upstream.name.as_str().into(),
    }
}

/// Makes the target of a route ready. `plans` grows by upstreams that no route has named before.
pub(crate) fn target(
    target: &RouteTarget,
    upstreams: &mut Upstreams,
    plans: &mut Vec<Arc<LoadedUpstream>>,
) -> Result<Target, UpstreamError> {
    match target {
        RouteTarget::Echo => Ok(Target::Echo),
        RouteTarget::Static(answer) => {
            let mut fields = HeaderMap::with_capacity(answer.headers.len());
            for (name, value) in &answer.headers {
                // The configuration has checked them.
                if let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(name.as_bytes()),
                    HeaderValue::from_str(value),
                ) {
                    fields.append(name, value);
                }
            }
            Ok(Target::Static(StaticAnswer {
                status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
                fields,
                body: Bytes::from(answer.body.clone()),
            }))
        }
        RouteTarget::Upstream(config) => {
            if let Some(index) = plans.iter().position(|known| known.config() == config) {
                return Ok(Target::Upstream(index));
            }
            // Requests of routes bring their authority themselves: a route's own choice goes before the upstream's.
            plans.push(Arc::new(upstreams.load(config)?.keeping_authorities()));
            Ok(Target::Upstream(plans.len() - 1))
        }
    }
}
