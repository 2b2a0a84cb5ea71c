//! State of import sets in a VM and in a stream, each by the set's index in the composition.

use std::any::Any;
use std::sync::Arc;

use super::{ImportSet, ImportSets};
use crate::VmSpec;

type State = Box<dyn Any + Send>;

/// The states of all sets in one VM.
pub struct SetStates {
    sets: &'static ImportSets,
    /// `None` for a set of which the module imports nothing.
    states: Box<[Option<State>]>,
}

impl SetStates {
    /// Prepares the sets from which the module imports.
    pub(crate) fn prepare(spec: &Arc<VmSpec>) -> Self {
        let sets = spec.module.import_sets();
        let imported = &spec.module.info().sets;
        let states = sets
            .sets()
            .map(|set| imported.contains(&set.name()).then(|| set.prepare(spec)));
        Self {
            sets,
            states: states.collect(),
        }
    }

    /// States for a VM that continues from a snapshot of this one. The error is the name of a set that has none.
    pub(crate) fn for_snapshot(&self) -> Result<Self, &'static str> {
        let pairs = self.sets.sets().zip(&self.states);
        let states = pairs.map(|(set, state)| match state {
            Some(state) => set.vm_from_snapshot(state.as_ref()).map(Some).ok_or(set.name()),
            None => Ok(None),
        });
        Ok(Self {
            sets: self.sets,
            states: states.collect::<Result<_, _>>()?,
        })
    }

    /// The composition that the VM's module was compiled with.
    pub(crate) const fn composition(&self) -> &'static ImportSets {
        self.sets
    }

    /// The set at `index`, and its state in this VM.
    #[inline]
    pub(crate) fn of<S: ImportSet>(&mut self, index: usize) -> (&'static S, &mut S::Vm) {
        let state = self.states.get_mut(index).and_then(Option::as_mut);
        let Some(Prepared::<S> { set, vm }) = state.and_then(|state| state.downcast_mut()) else {
            unreachable!("a function of a set is called only where the module imports from the set");
        };
        (set, vm)
    }
}

/// A set, and its state in one VM.
pub(super) struct Prepared<S: ImportSet> {
    pub set: &'static S,
    pub vm: S::Vm,
}

/// The states of all sets in one stream context, each made when its set first asks. One word as long as none does: contexts
/// lie in a table that is indexed by their size.
#[derive(Default)]
pub struct StreamStates(Option<Box<Made>>);

#[derive(Default)]
struct Made(Vec<Option<State>>);

impl StreamStates {
    /// The state of the set at `index`.
    pub(crate) fn get_or_make<T: Send + 'static>(
        &mut self,
        index: usize,
        make: impl FnOnce() -> T,
    ) -> &mut T {
        let made = &mut self.0.get_or_insert_default().0;
        if made.len() <= index {
            made.resize_with(index + 1, || None);
        }
        let state = made[index].get_or_insert_with(|| Box::new(make()));
        let Some(state) = state.downcast_mut() else {
            unreachable!("each set has an index of its own");
        };
        state
    }
}
