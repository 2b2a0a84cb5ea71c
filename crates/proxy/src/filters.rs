//! The filter chain of one stream, bound to the VMs of its worker.

use std::rc::Rc;
use std::sync::Arc;

use weir_abi::Callback;
use weir_chain::{ChainFilter, VmGone, VmPlace};
use weir_host::{ContextId, Vm, VmError};

use crate::revision::FilterPlan;
use crate::stream::ProxyMessages;
use crate::vm::slot::{LiveVm, VmSlot};
use crate::worker::WorkerRevision;

/// The filters that see a stream.
pub(crate) type Chain = weir_chain::Chain<Slot>;

/// Calls them.
pub(crate) type ChainCalls = weir_chain::ChainCalls<Slot, ProxyMessages>;

/// The filters of a route, as the chains of its streams share them in one worker.
pub(crate) fn of_route(filters: &[FilterPlan], slots: &[Rc<VmSlot>]) -> Arc<[ChainFilter<Slot>]> {
    let filter = |filter: &FilterPlan| {
        let place = filter
            .vm
            .map(|(vm, plugin)| (Slot(Rc::clone(&slots[vm])), plugin));
        ChainFilter::new(place, filter.fail_open, filter.limit)
    };
    filters.iter().map(filter).collect()
}

/// The filters of a route that see a request.
pub(crate) fn chain(revision: &WorkerRevision, route: usize, authority: &[u8], path: &[u8]) -> Arc<Chain> {
    let filters = &revision.plan.routes[route].filters;
    let sees = |place: &usize| filters[*place].config.sees(authority, path);
    Chain::new(&revision.filters[route], (0..filters.len()).filter(sees))
}

/// A worker's place for a VM, as a chain sees it.
pub(crate) struct Slot(Rc<VmSlot>);

impl VmPlace for Slot {
    type Vm = Live;

    fn live(&self) -> Option<Live> {
        self.0.live().map(Live)
    }

    fn has(&self, callback: Callback) -> bool {
        self.0.plan().has(callback)
    }
}

/// A worker's VM, as a chain sees it.
pub(crate) struct Live(Rc<LiveVm>);

impl weir_chain::LiveVm for Live {
    fn context(&self, plugin: usize) -> Option<ContextId> {
        self.0.context(plugin)
    }

    fn enter<R>(&self, enter: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
        self.0.enter(enter)
    }

    fn await_done(&self) {
        self.0.await_done();
    }
}
