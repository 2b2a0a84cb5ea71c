//! A list with stable places: entering and leaving cost no search.

/// Things, each at a place that stays its own until it is taken out.
pub(crate) struct Places<T> {
    things: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Places<T> {
    /// Puts a thing in; its place.
    pub fn put(&mut self, thing: T) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.things[place] = Some(thing);
                place
            }
            None => {
                self.things.push(Some(thing));
                self.things.len() - 1
            }
        }
    }

    /// Takes a thing out.
    pub fn take(&mut self, place: usize) -> Option<T> {
        let thing = self.things.get_mut(place)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    /// Number of things.
    pub fn len(&self) -> usize {
        self.things.len() - self.free.len()
    }

    /// All things.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut places = Places::default();
        let a = places.put('a');
        let b = places.put('b');
        assert_eq!(places.take(a), Some('a'));
        assert_eq!(places.take(a), None);
        assert_eq!(places.put('c'), a);
        assert_eq!(places.len(), 2);
        assert_eq!(places.iter().collect::<String>(), "cb");
        assert_eq!(places.take(b), Some('b'));
    }
}
