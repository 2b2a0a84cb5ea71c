//! The filters of an instance of the plugin, bound to the VMs of one net thread.

use std::sync::Arc;

use weir_abi::Callback;
use weir_chain::{Chain, ChainFilter};
use weir_config::FilterConfig;
use weir_host::VmSlot;

/// The filters of one `wasm.so` line, of all of them in `plugin.config`, or of a remap rule.
pub(crate) struct ThreadChain {
    /// In the order in which they see requests.
    pub filters: Vec<ThreadFilter>,
    /// A filter has conditions on requests.
    pub conditional: bool,
    /// What filters make of a response goes into the cache.
    pub cache_transformed: bool,
    /// A filter may answer by itself.
    pub replies: bool,
    /// A filter may have a use for a body, or for a transform in its way.
    pub bodies: bool,
    members: Arc<[ChainFilter]>,
}

/// One filter.
pub(crate) struct ThreadFilter {
    /// What its document says.
    pub config: Arc<FilterConfig>,
    /// The slot of its VM, and the index of its plugin there; `None` where it was refused.
    pub slot: Option<(Arc<VmSlot>, usize)>,
    /// It may answer by itself.
    pub replies: bool,
}

impl ThreadChain {
    /// A chain of these.
    pub fn new(filters: Vec<ThreadFilter>) -> Self {
        let member = |filter: &ThreadFilter| {
            ChainFilter::new(
                filter.slot.clone(),
                filter.config.fail_policy,
                usize::try_from(filter.config.body_limit).unwrap_or(usize::MAX),
            )
        };
        let bodies = |filter: &ThreadFilter| {
            let has = |callback| filter.slot.as_ref().is_some_and(|(slot, _)| slot.has(callback));
            filter.replies
                || filter.config.cache_transformed
                || has(Callback::RequestBody)
                || has(Callback::ResponseBody)
        };
        Self {
            bodies: filters.iter().any(bodies),
            conditional: filters.iter().any(|filter| !filter.config.matches.is_empty()),
            cache_transformed: filters.iter().any(|filter| filter.config.cache_transformed),
            replies: filters.iter().any(|filter| filter.replies),
            members: filters.iter().map(member).collect(),
            filters,
        }
    }

    /// The filters that see a request; `authority` and `path` are asked for only where a filter has conditions.
    pub fn select(&self, authority: &[u8], path: &[u8], base: Option<Arc<Chain>>) -> Arc<Chain> {
        let sees = |number: &usize| !self.conditional || self.filters[*number].config.sees(authority, path);
        let seen = (0..self.filters.len()).filter(sees);
        match base {
            Some(base) => Chain::extending(base, &self.members, seen),
            None => Chain::new(&self.members, seen),
        }
    }
}
