//! Fields that filters have added before: the next of the name are copies of them.
//!
//! To make a field by its name, the server searches its table of tokens for the name, which costs more than the rest of
//! making it. A copy carries what was found. Filters add the same few names to message after message, most of them with one
//! and the same value, which a copy has as well.

use std::cell::{Cell, RefCell, RefMut};

use rustc_hash::FxHashMap;
use weir_ats_sys::{TS_SUCCESS, TSMBufferCreate, TSMimeHdrCreate};

use super::mime::{Field, Head, is_value};

/// Most names that a thread remembers, so that a filter which makes names up does not fill the memory.
const MAX_NAMES: usize = 256;
/// Longest name that is remembered.
const MAX_NAME: usize = 64;
/// Longest value that is.
const MAX_VALUE: usize = 256;

/// The fields that have been added on a thread of the server. They lie in a head of their own, of which they are no part.
pub(super) struct Templates {
    head: Head,
    known: FxHashMap<u64, Template>,
}

/// A field, as it was added last.
pub(super) struct Template {
    name: Box<[u8]>,
    field: Field,
    /// The value of copies; `None` once there have been several.
    value: Option<Box<[u8]>>,
}

thread_local! {
    // Never freed: the server's threads last as long as the process.
    static CURRENT: Cell<Option<&'static RefCell<Templates>>> = const { Cell::new(None) };
}

impl Templates {
    /// The templates of the thread that runs, which is one of the server's.
    #[inline]
    pub fn current() -> Option<RefMut<'static, Self>> {
        CURRENT.get().or_else(Self::first)?.try_borrow_mut().ok()
    }

    #[cold]
    fn first() -> Option<&'static RefCell<Self>> {
        // SAFETY: called on a thread of the server; the head is made in the new buffer, and neither is ever destroyed.
        let head = unsafe {
            Head::from_getter(|buffer, loc| {
                *buffer = TSMBufferCreate();
                !buffer.is_null() && TSMimeHdrCreate(*buffer, loc) == TS_SUCCESS
            })
        };
        let templates = Self {
            head: head?,
            known: FxHashMap::default(),
        };
        let templates: &'static RefCell<Self> = Box::leak(Box::new(RefCell::new(templates)));
        CURRENT.set(Some(templates));
        Some(templates)
    }

    /// The template for a name, in the spelling in which it is added.
    #[inline]
    pub fn get(&mut self, name: &[u8]) -> Option<&mut Template> {
        let template = self.known.get_mut(&key(name)?)?;
        (*template.name == *name).then_some(template)
    }

    /// Remembers a field that has been added: its name can stand in a head, and filters may add it.
    pub fn learn(&mut self, name: &[u8], value: &[u8]) {
        let Some(key) = key(name) else {
            return;
        };
        if self.known.len() >= MAX_NAMES || name.len() > MAX_NAME || self.known.contains_key(&key) {
            return;
        }
        let Some(field) = self.head.create(name) else {
            return;
        };
        let kept = value.len() <= MAX_VALUE && field.set(value);
        let template = Template {
            name: name.into(),
            field,
            value: kept.then(|| value.into()),
        };
        self.known.insert(key, template);
    }
}

/// Tells nearly all names apart: both ends and the length. Of two that have it in common, one is remembered.
#[inline]
fn key(name: &[u8]) -> Option<u64> {
    let ends = [*name.first_chunk()?, *name.last_chunk()?].map(u32::from_le_bytes);
    Some((u64::from(ends[0]) << 32 | u64::from(ends[1])) ^ ((name.len() as u64) << 24))
}

impl Template {
    /// True if a value can stand in a head.
    #[inline]
    pub fn takes(&self, value: &[u8]) -> bool {
        self.value.as_deref() == Some(value) || is_value(value)
    }

    /// Appends a copy with a value; whether that was possible.
    pub fn add_to(&mut self, head: Head, value: &[u8]) -> bool {
        let Some(copy) = head.copy(&self.field) else {
            return false;
        };
        if self.value.as_deref() == Some(value) {
            return head.append(&copy);
        }
        if self.value.take().is_some() {
            // The next need not copy what they replace.
            self.field.set(b"");
        }
        copy.set(value) && head.append(&copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names = [
            &b"x-a-1"[..],
            b"x-a-2",
            b"y-a-1",
            b"x-aa-1",
            b"server",
            b"x-forwarded-for",
            b"x-forwarded-host",
        ];
        let keys: std::collections::HashSet<_> = names.map(key).into();
        assert_eq!(keys.len(), names.len());
        assert_eq!(key(b"via"), None, "too short to be remembered");
    }
}
