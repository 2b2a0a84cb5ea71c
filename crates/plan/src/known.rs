//! Plans that have been accepted before.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::vm::{Identity, VmPlan};

/// Plans of earlier configurations, by the hash of their identity, for as long as something holds them: the VMs that serve, or
/// streams that began in VMs since replaced.
#[derive(Default)]
pub(crate) struct KnownPlans(HashMap<u64, Vec<Weak<VmPlan>>>);

impl KnownPlans {
    /// Returns the plan with this identity.
    pub fn find(&self, identity: &Identity) -> Option<Arc<VmPlan>> {
        let plans = self.0.get(&identity.hash())?.iter().filter_map(Weak::upgrade);
        plans.into_iter().find(|plan| plan.identity == *identity)
    }

    /// Adds plans, and forgets those that nothing holds.
    pub fn remember(&mut self, plans: &[Arc<VmPlan>]) {
        self.0.retain(|_, known| {
            known.retain(|plan| plan.strong_count() > 0);
            !known.is_empty()
        });
        for plan in plans {
            let known = self.0.entry(plan.identity.hash()).or_default();
            if !known.iter().any(|known| known.as_ptr() == Arc::as_ptr(plan)) {
                known.push(Arc::downgrade(plan));
            }
        }
    }
}
