//! The filters of an instance of the plugin, bound to the VMs of one net thread.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use weir_abi::Callback;
use weir_chain::{Chain, ChainFilter};
use weir_config::{FilterConfig, RequestTarget};
use weir_host::VmSlot;
use weir_plan::ModuleDigest;

/// The configuration that all net threads serve from: the filters of each instance.
#[derive(Default)]
pub(crate) struct Served {
    /// By number.
    pub instances: Vec<Vec<ServedFilter>>,
}

/// A filter of an instance.
pub(crate) struct ServedFilter {
    /// The filter's document.
    pub config: Arc<FilterConfig>,
    /// The index of its VM in the configuration, and of its plugin in that VM; `None` where it was refused.
    pub position: Option<(usize, usize)>,
    /// The filter may answer by itself.
    pub replies: bool,
    /// The digest of its module; `None` where it was refused.
    pub module: Option<ModuleDigest>,
}

/// The chains of one net thread, each made by the first transaction that has a use for it: with thousands of rules on dozens
/// of threads most chains never see one.
#[derive(Default)]
pub(crate) struct ThreadChains {
    served: Arc<Served>,
    /// The thread's slots, by the indexes of VMs in the configuration.
    slots: Vec<Arc<VmSlot>>,
    /// By the number of the instance.
    made: Vec<OnceCell<Arc<ThreadChain>>>,
}

impl ThreadChains {
    /// Chains of these filters and slots, none made yet.
    pub fn new(served: Arc<Served>, slots: Vec<Arc<VmSlot>>) -> Self {
        let made = served.instances.iter().map(|_| OnceCell::new()).collect();
        Self { served, slots, made }
    }

    /// Returns the chain of an instance; `None` where it has no filters.
    pub fn of(&self, instance: usize) -> Option<&Arc<ThreadChain>> {
        let filters = self.served.instances.get(instance)?;
        if filters.is_empty() {
            return None;
        }
        let make = || {
            let filter = |filter: &ServedFilter| {
                let slot = |(vm, plugin)| Some((Arc::clone(self.slots.get(vm)?), plugin));
                ThreadFilter::new(filter, filter.position.and_then(slot))
            };
            Arc::new(ThreadChain::new(filters.iter().map(filter).collect()))
        };
        Some(self.made.get(instance)?.get_or_init(make))
    }
}

/// The filters of one `wasm.so` line, of all of them in `plugin.config`, or of a remap rule.
pub(crate) struct ThreadChain {
    /// In the order in which they see requests.
    pub filters: Vec<ThreadFilter>,
    /// A filter has conditions on requests.
    pub conditional: bool,
    /// The cache keeps responses as the filters have changed them.
    pub cache_transformed: bool,
    /// A filter may answer by itself.
    pub replies: bool,
    /// A filter may have a use for a body, or for a transform in its way.
    pub bodies: bool,
    members: Arc<[ChainFilter]>,
}

/// One filter.
pub(crate) struct ThreadFilter {
    /// The filter's document.
    pub config: Arc<FilterConfig>,
    /// The slot of its VM, and the index of its plugin there; `None` where it was refused.
    pub slot: Option<(Arc<VmSlot>, usize)>,
    /// The filter may answer by itself.
    pub replies: bool,
    module: Option<ModuleDigest>,
    /// See [`ThreadFilter::mark`].
    mark: OnceLock<String>,
}

impl ThreadFilter {
    /// Makes a filter of an instance, with the slot of its VM on this thread.
    fn new(filter: &ServedFilter, slot: Option<(Arc<VmSlot>, usize)>) -> Self {
        Self {
            config: Arc::clone(&filter.config),
            slot,
            replies: filter.replies,
            module: filter.module,
            mark: OnceLock::new(),
        }
    }

    /// The filter's part of the mark of a cached object that it has made; worked out when it is first asked for.
    pub fn mark(&self) -> &str {
        self.mark
            .get_or_init(|| crate::mark::of_filter(&self.config, self.module.as_ref()))
    }
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
        let target = self.conditional.then(|| RequestTarget::new(authority, path));
        let sees = |number: &usize| {
            let config = &self.filters[*number].config;
            target.as_ref().is_none_or(|target| config.sees(target))
        };
        let seen = (0..self.filters.len()).filter(sees);
        match base {
            Some(base) => Chain::extending(base, &self.members, seen),
            None => Chain::new(&self.members, seen),
        }
    }
}
