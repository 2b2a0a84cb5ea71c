//! Contexts that live on after `proxy_on_done`, until the guest calls `proxy_done`.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};
use weir_abi::limits::DONE_WAIT;

use crate::ContextId;

/// Contexts that wait for `proxy_done`. However often a guest completes a context, the context ends once; and no operation
/// takes longer because many contexts wait.
#[derive(Default)]
pub(crate) struct DoneWaits {
    waiting: FxHashMap<ContextId, Wait>,
    by_age: BTreeSet<(Instant, ContextId)>,
    /// Completed contexts that are still to be ended, in the order of completion.
    completed: VecDeque<ContextId>,
    /// Contexts that the guest has completed inside of `proxy_on_done`, before they were known to wait.
    early: FxHashSet<ContextId>,
}

struct Wait {
    since: Instant,
    completed: bool,
}

impl DoneWaits {
    /// Returns true if no context waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns true if the context waits, completed or not.
    pub fn contains(&self, id: ContextId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// The context has answered false from `proxy_on_done`.
    pub fn begin(&mut self, id: ContextId, since: Instant) {
        let completed = self.early.remove(&id);
        self.waiting.insert(id, Wait { since, completed });
        self.by_age.insert((since, id));
        if completed {
            self.completed.push_back(id);
        }
    }

    /// The guest completes a context. `false`: the context does not wait.
    pub fn complete(&mut self, id: ContextId) -> bool {
        let Some(wait) = self.waiting.get_mut(&id) else {
            return false;
        };
        if !std::mem::replace(&mut wait.completed, true) {
            self.completed.push_back(id);
        }
        true
    }

    /// The guest completes a context that does not wait yet.
    pub fn complete_early(&mut self, id: ContextId) {
        self.early.insert(id);
    }

    /// The context has ended without a wait.
    pub fn forget(&mut self, id: ContextId) {
        self.early.remove(&id);
    }

    /// Takes out a context that is to end at this time: one that is completed, else one that has waited for [`DONE_WAIT`].
    pub fn next(&mut self, now: Instant) -> Option<ContextId> {
        let id = match self.completed.pop_front() {
            Some(id) => id,
            None => {
                let (since, id) = self.by_age.first()?;
                (now.saturating_duration_since(*since) >= DONE_WAIT).then_some(*id)?
            }
        };
        let wait = self.waiting.remove(&id)?;
        self.by_age.remove(&(wait.since, id));
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ContextId {
        ContextId::new(number).unwrap()
    }

    #[test]
    fn a_context_ends_once_however_often_it_is_completed() {
        let (mut waits, now) = (DoneWaits::default(), Instant::now());
        assert!(!waits.complete(id(1)));
        waits.begin(id(1), now);
        for _ in 0..3 {
            assert!(waits.complete(id(1)));
        }
        assert_eq!((waits.next(now), waits.next(now)), (Some(id(1)), None));
        assert!(waits.is_empty() && !waits.contains(id(1)));
    }

    #[test]
    fn completed_contexts_end_before_old_ones() {
        let (mut waits, now) = (DoneWaits::default(), Instant::now());
        for number in 1..=3 {
            waits.begin(id(number), now);
        }
        waits.complete_early(id(4));
        waits.begin(id(4), now);
        waits.complete(id(2));
        let late = now + DONE_WAIT;
        let order: Vec<_> = std::iter::from_fn(|| waits.next(late)).collect();
        assert_eq!(order, [id(4), id(2), id(1), id(3)]);
    }

    #[test]
    fn an_early_completion_is_forgotten_with_its_context() {
        let (mut waits, now) = (DoneWaits::default(), Instant::now());
        waits.complete_early(id(1));
        waits.forget(id(1));
        waits.begin(id(1), now);
        assert_eq!(waits.next(now), None);
    }
}
