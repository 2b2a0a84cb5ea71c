//! Contexts by their number.

use rustc_hash::FxHashMap;

use crate::ContextId;

/// Places of recent contexts; a power of two.
const PLACES: usize = 64;

/// A map from numbers of contexts.
///
/// Numbers are given out one after the other, and most streams are over before the next few have come. So nearly always
/// each has a place to itself that is found by its number alone. One whose place is wanted by a later one goes to a
/// hash map.
pub(crate) struct ContextMap<T> {
    recent: Box<[Option<(ContextId, T)>]>,
    in_recent: usize,
    others: FxHashMap<ContextId, T>,
}

impl<T> Default for ContextMap<T> {
    fn default() -> Self {
        Self {
            recent: std::iter::repeat_with(|| None).take(PLACES).collect(),
            in_recent: 0,
            others: FxHashMap::default(),
        }
    }
}

impl<T> ContextMap<T> {
    /// Number of contexts.
    pub fn len(&self) -> usize {
        self.in_recent + self.others.len()
    }

    /// Adds a context that is not there.
    pub fn insert(&mut self, id: ContextId, value: T) {
        match self.recent[place(id)].replace((id, value)) {
            Some((old, value)) => drop(self.others.insert(old, value)),
            None => self.in_recent += 1,
        }
    }

    /// Returns true if a context is there.
    #[inline]
    pub fn contains_key(&self, id: &ContextId) -> bool {
        self.get(id).is_some()
    }

    /// A context.
    #[inline]
    pub fn get(&self, id: &ContextId) -> Option<&T> {
        match &self.recent[place(*id)] {
            Some((recent, value)) if recent == id => Some(value),
            _ if self.others.is_empty() => None,
            _ => self.others.get(id),
        }
    }

    /// A context, to be changed.
    #[inline]
    pub fn get_mut(&mut self, id: &ContextId) -> Option<&mut T> {
        match &mut self.recent[place(*id)] {
            Some((recent, value)) if recent == id => Some(value),
            _ if self.others.is_empty() => None,
            _ => self.others.get_mut(id),
        }
    }

    /// Takes a context out.
    #[inline]
    pub fn remove(&mut self, id: &ContextId) -> Option<T> {
        match self.recent[place(*id)].take_if(|(recent, _)| recent == id) {
            Some((_, value)) => {
                self.in_recent -= 1;
                Some(value)
            }
            None if self.others.is_empty() => None,
            None => self.others.remove(id),
        }
    }

    /// All contexts, to be read.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        let recent = self.recent.iter().flatten().map(|(_, value)| value);
        recent.chain(self.others.values())
    }

    /// All contexts.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let recent = self.recent.iter_mut().flatten().map(|(_, value)| value);
        recent.chain(self.others.values_mut())
    }
}

const fn place(id: ContextId) -> usize {
    id.wire() as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ContextId {
        ContextId::new(number as u32).unwrap()
    }

    #[test]
    fn contexts_that_meet_in_a_place_are_all_there() {
        let mut map = ContextMap::default();
        let numbers = [1, 1 + PLACES, 1 + 2 * PLACES, 7];
        for number in numbers {
            map.insert(id(number), number);
        }
        assert_eq!(map.len(), 4);
        assert_eq!(
            map.values_mut().map(|number| *number).sum::<usize>(),
            numbers.iter().sum::<usize>()
        );
        for number in numbers {
            assert_eq!(map.get(&id(number)), Some(&number));
            assert_eq!(map.get_mut(&id(number)), Some(&mut { number }));
        }
        assert!(!map.contains_key(&id(1 + 3 * PLACES)));
        assert_eq!(map.remove(&id(1 + 3 * PLACES)), None);
        for number in numbers {
            assert_eq!(map.remove(&id(number)), Some(number));
            assert!(!map.contains_key(&id(number)));
        }
        assert_eq!(map.len(), 0);
    }
}
