//! The VMs of a configuration: a slot for each plan on each thread, and the change from one configuration to the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_abi::log_target;
use weir_config::Ticks;
use weir_host::{StartError, VmSlot};
use weir_plan::{VmPlan, in_parallel};

use crate::slot::Slot;
use crate::task::Supervisor;

/// A thread that VMs belong to.
pub struct VmThread {
    /// The supervisor of its VMs.
    pub supervisor: Supervisor,
    /// Index of the thread, as [`VmThreads`](crate::VmThreads) knows it. Ticks with `ticks: one_vm` run on thread 0.
    pub index: usize,
}

/// The consequence of a VM that cannot be started for its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Serve: the supervisor tries again until the VM starts. For the start of a proxy, which has nothing better to serve.
    Retry,
    /// Keep the configuration that is served. For a reload.
    Keep,
}

/// The VMs of a configuration. The empty fleet is that of a proxy that serves nothing yet.
#[derive(Default)]
pub struct Fleet {
    members: Vec<Member>,
}

/// A plan and its slots, one for each thread.
struct Member {
    plan: Arc<VmPlan>,
    slots: Vec<Arc<Slot>>,
}

impl Member {
    /// True if its VMs are what the plan describes.
    fn is_of(&self, plan: &Arc<VmPlan>) -> bool {
        Arc::ptr_eq(&self.plan, plan) || self.plan.identity == plan.identity
    }
}

impl Fleet {
    /// Makes the fleet of the next configuration: slots whose plan is equal to one of this fleet stay, VMs of the others are
    /// started, as many at a time as there are cores. `ticks` holds for plugins whose documents do not say. Blocks until all
    /// have been started. This fleet still serves; the proxy changes over and then calls [`Fleet::replace`].
    ///
    /// # Errors
    ///
    /// With [`OnFailure::Keep`], VMs that did not start; the others that were started end. With [`OnFailure::Retry`] the
    /// reasons are logged.
    pub fn next(
        &self,
        plans: &[Arc<VmPlan>],
        threads: &[VmThread],
        ticks: Ticks,
        on_failure: OnFailure,
    ) -> Result<Self, Vec<StartError>> {
        let mut fresh = Vec::new();
        let mut served: HashMap<u64, Vec<&Member>> = HashMap::new();
        for member in &self.members {
            served
                .entry(member.plan.identity.hash())
                .or_default()
                .push(member);
        }
        let mut members = Vec::with_capacity(plans.len());
        for plan in plans {
            let known = served.get(&plan.identity.hash()).into_iter().flatten();
            let known = known.copied().find(|known| known.is_of(plan));
            members.push(match known {
                Some(known) => Member {
                    plan: Arc::clone(&known.plan),
                    slots: known.slots.clone(),
                },
                None => {
                    let reserve = Arc::default();
                    let slot = |thread: &VmThread| Slot::new(plan, &reserve, thread, ticks);
                    let slots: Vec<_> = threads.iter().map(slot).collect();
                    fresh.extend(slots.iter().cloned());
                    Member {
                        plan: Arc::clone(plan),
                        slots,
                    }
                }
            });
        }
        let outcomes = in_parallel(&fresh, Slot::start);
        let failed: Vec<_> = fresh
            .iter()
            .zip(outcomes)
            .filter_map(|(slot, outcome)| Some((slot, outcome.err()?)))
            .collect();
        if on_failure == OnFailure::Keep && !failed.is_empty() {
            fresh.iter().for_each(|slot| slot.retire());
            return Err(failed.into_iter().map(|(_, error)| error).collect());
        }
        for (slot, error) in failed {
            tracing::error!(target: log_target::ABOUT_GUEST, filters = slot.filters(), "{error}");
            slot.retry();
        }
        Ok(Self { members })
    }

    /// Becomes `next`, and retires the slots that `next` has no use for. Their VMs end with the last streams that use them.
    pub fn replace(&mut self, next: Self) {
        let old = std::mem::replace(self, next);
        let kept: HashSet<*const Slot> = self.slots().map(Arc::as_ptr).collect();
        for slot in old.slots() {
            if !kept.contains(&Arc::as_ptr(slot)) {
                slot.retire();
            }
        }
    }

    /// Returns the number of plans: of VMs on each thread.
    pub fn plans(&self) -> usize {
        self.members.len()
    }

    /// Returns the plan with this index in the configuration. It is an equal one's of an earlier configuration where that
    /// one's VMs still serve.
    pub fn plan(&self, vm: usize) -> Option<&Arc<VmPlan>> {
        Some(&self.members.get(vm)?.plan)
    }

    /// Returns the slot of a plan on a thread, by their positions in the calls of [`Fleet::next`].
    pub fn slot(&self, vm: usize, thread: usize) -> Option<&Arc<VmSlot>> {
        Some(self.members.get(vm)?.slots.get(thread)?.vm())
    }

    /// Returns all slots.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.members.iter().flat_map(|member| &member.slots)
    }
}
