//! The filter chain of one stream, bound to the VMs of its worker.

use std::sync::Arc;

use weir_chain::{Chain, ChainFilter};
use weir_config::RequestTarget;
use weir_host::VmSlot;

use crate::revision::FilterPlan;
use crate::stream::ProxyMessages;
use crate::worker::WorkerRevision;

/// Calls the filters of a chain.
pub(crate) type ChainCalls = weir_chain::ChainCalls<ProxyMessages>;

/// The filters of a route, as the chains of its streams share them in one worker. `slots` has one slot for each VM of the
/// configuration.
pub(crate) fn of_route(filters: &[FilterPlan], slots: &[Arc<VmSlot>]) -> Arc<[ChainFilter]> {
    let filter = |filter: &FilterPlan| {
        let slot = filter.vm.map(|(vm, plugin)| (Arc::clone(&slots[vm]), plugin));
        ChainFilter::new(slot, filter.config.fail_policy, filter.limit)
    };
    filters.iter().map(filter).collect()
}

/// The filters of a route that see a request.
pub(crate) fn chain(revision: &WorkerRevision, route: usize, target: &RequestTarget<'_>) -> Arc<Chain> {
    let filters = &revision.plan.routes[route].filters;
    let sees = |index: &usize| filters[*index].config.sees(target);
    Chain::new(&revision.filters[route], (0..filters.len()).filter(sees))
}
