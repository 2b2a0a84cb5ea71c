//! Keys made of a vm_id and a name, looked up without building one.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// A vm_id and a name in it.
#[derive(Clone, Debug)]
pub(super) struct ScopedKey {
    pub vm_id: Box<str>,
    pub name: Box<[u8]>,
}

impl ScopedKey {
    pub fn new(vm_id: &str, name: &[u8]) -> Self {
        Self {
            vm_id: vm_id.into(),
            name: name.into(),
        }
    }
}

/// What maps with [`ScopedKey`] as their key are asked with: `&(vm_id, name) as &dyn Scoped`.
pub(super) trait Scoped {
    fn parts(&self) -> (&str, &[u8]);
}

impl Scoped for ScopedKey {
    fn parts(&self) -> (&str, &[u8]) {
        (&self.vm_id, &self.name)
    }
}

impl Scoped for (&str, &[u8]) {
    fn parts(&self) -> (&str, &[u8]) {
        *self
    }
}

impl<'a> Borrow<dyn Scoped + 'a> for ScopedKey {
    fn borrow(&self) -> &(dyn Scoped + 'a) {
        self
    }
}

impl Hash for dyn Scoped + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn Scoped + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Scoped + '_ {}

// A key must hash and compare as what it is borrowed as.
impl Hash for ScopedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for ScopedKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for ScopedKey {}
