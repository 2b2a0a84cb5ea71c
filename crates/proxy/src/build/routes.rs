//! Routes: their filters' places, and where they lead.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use weir_config::{FilterConfig, Route, RouteTarget};

use crate::snapshot::{FilterPlan, RoutePlan, StaticAnswer, Target, UpstreamPlan};
use crate::upstreams::{self, UpstreamError, Upstreams};

/// Plans a route. `places` says which VM and plugin each filter has.
pub(super) fn plan(route: &Route, target: Target, places: &[(Arc<FilterConfig>, usize, usize)]) -> RoutePlan {
    RoutePlan {
        name: route.name.as_str().into(),
        matches: route.matches.clone(),
        strip_prefix: route.strip_prefix,
        host_rewrite: route.host_rewrite.clone().map(Bytes::from),
        timeout: route.timeout,
        cluster: cluster(&route.target),
        target,
        filters: route
            .filters
            .iter()
            .map(|filter| plan_filter(&filter.name, &filter.filter, places))
            .collect(),
    }
}

fn plan_filter(
    name: &str,
    filter: &Arc<FilterConfig>,
    places: &[(Arc<FilterConfig>, usize, usize)],
) -> FilterPlan {
    FilterPlan {
        name: name.into(),
        config: Arc::clone(filter),
        vm: places
            .iter()
            .find(|(known, ..)| known == filter)
            .map(|(_, vm, plugin)| (*vm, *plugin)),
        fail_open: filter.fail_policy == weir_config::FailPolicy::Open,
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
pub(super) fn target(
    target: &RouteTarget,
    upstreams: &mut Upstreams,
    plans: &mut Vec<UpstreamPlan>,
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
            if let Some(place) = plans.iter().position(|plan| plan.config == *config) {
                return Ok(Target::Upstream(place));
            }
            let upstream = upstreams.ready(config)?;
            plans.push(UpstreamPlan {
                config: Arc::clone(config),
                upstream: Arc::new(upstreams::for_routes(&upstream)),
            });
            Ok(Target::Upstream(plans.len() - 1))
        }
    }
}
