//! The filters of an instance of the plugin, bound to the VMs of one net thread.

use std::sync::Arc;

use weir_chain::{Chain, ChainFilter};
use weir_config::FilterConfig;

use crate::vm::place::PlaceRef;

/// The filters of one `wasm.so` line, of all of them in `plugin.config`, or of a remap rule.
pub(crate) struct ThreadChain {
    /// In the order in which they see requests.
    pub filters: Vec<ThreadFilter>,
}

/// One filter.
pub(crate) struct ThreadFilter {
    /// What its document says.
    pub config: Arc<FilterConfig>,
    /// Where its VM is, and which of its plugins is meant; `None` where it was refused.
    pub place: Option<(PlaceRef, usize)>,
    /// It may answer by itself after it has seen the response's headers.
    pub replies: bool,
}

impl ThreadChain {
    /// The filters that see a request; `authority` and `path` are asked for only where a filter has conditions.
    pub fn select(
        &self,
        authority: &[u8],
        path: &[u8],
        base: Option<Arc<Chain<PlaceRef>>>,
    ) -> Arc<Chain<PlaceRef>> {
        let filters = self
            .filters
            .iter()
            .enumerate()
            .filter(|(_, filter)| filter.config.sees(authority, path))
            .map(|(number, filter)| {
                ChainFilter::new(
                    number,
                    filter.place.clone(),
                    filter.config.fail_policy == weir_config::FailPolicy::Open,
                    usize::try_from(filter.config.body_limit).unwrap_or(usize::MAX),
                )
            });
        match base {
            Some(base) => Chain::extending(base, filters),
            None => Chain::new(filters),
        }
    }

    /// Whether any filter has conditions on requests.
    pub fn is_conditional(&self) -> bool {
        self.filters
            .iter()
            .any(|filter| !filter.config.matches.is_empty())
    }
}
