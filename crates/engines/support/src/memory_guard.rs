//! The memory limit, for all backends.

use weir_engine::{ByteSize, InstantiateError, TrapKind};

use crate::GuestFault;

/// Table elements that one guest may have in all. The largest filter known (Coraza) has some ten thousand, an element
/// costs the host 8 bytes.
pub const TABLE_LIMIT: usize = 1 << 20;

/// Counts what one instance takes and refuses what is over the limit. A backend asks it before it creates or grows a
/// memory or a table.
#[derive(Clone, Debug)]
pub struct MemoryGuard {
    limit: usize,
    bytes: usize,
    elements: usize,
    /// Bytes and elements that were granted last, to be given back if the runtime cannot provide them.
    granted: (usize, usize),
    /// Size in all that was asked for when it was refused last.
    refused: Option<usize>,
}

impl MemoryGuard {
    /// A guard of `limit` bytes, all memories together.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            elements: 0,
            granted: (0, 0),
            refused: None,
        }
    }

    /// A guard of `limit` bytes for a module whose memory has `at_start` bytes.
    ///
    /// # Errors
    ///
    /// The size is over the limit.
    pub fn of_module(limit: usize, at_start: usize) -> Result<Self, InstantiateError> {
        let mut guard = Self::new(limit);
        if guard.grow_memory(0, at_start) {
            Ok(guard)
        } else {
            Err(InstantiateError::Memory {
                needed: at_start,
                limit,
            })
        }
    }

    /// Checks that a memory may go from `current` to `desired` bytes. A new memory has `current` 0.
    pub fn grow_memory(&mut self, current: usize, desired: usize) -> bool {
        let delta = desired.saturating_sub(current);
        let wanted = self.bytes.saturating_add(delta);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.bytes = wanted;
        self.granted = (delta, 0);
        true
    }

    /// Checks that a table may go from `current` to `desired` elements. A new table has `current` 0.
    pub fn grow_table(&mut self, current: usize, desired: usize) -> bool {
        let delta = desired.saturating_sub(current);
        let wanted = self.elements.saturating_add(delta);
        if wanted > TABLE_LIMIT {
            return false;
        }
        self.elements = wanted;
        self.granted = (0, delta);
        true
    }

    /// The runtime could not provide what was granted last.
    pub fn grow_failed(&mut self) {
        let (bytes, elements) = std::mem::take(&mut self.granted);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.elements = self.elements.saturating_sub(elements);
    }

    /// Bytes allowed.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes in all that the guest asked for when it was refused last; `None` where it never was.
    pub const fn refused(&self) -> Option<usize> {
        self.refused
    }

    /// Why there is no instance: the memory that was refused, or else `error` in the runtime's words.
    pub fn why_not(&self, error: String) -> InstantiateError {
        match self.refused {
            Some(needed) => InstantiateError::Memory {
                needed,
                limit: self.limit,
            },
            None => InstantiateError::Other(error),
        }
    }

    /// The trap of a guest that did what WebAssembly forbids.
    pub fn trap(&self, fault: GuestFault) -> TrapKind {
        TrapKind::Guest(self.explain(fault.words()))
    }

    /// `reason` of a trap, and that the limit was reached before where it was: a guest whose allocation fails mostly
    /// ends in an `unreachable` that says nothing.
    pub fn explain(&self, reason: &str) -> String {
        match self.refused {
            Some(_) => {
                let limit = ByteSize(self.limit as u64);
                format!("{reason} (memory limit of {limit} reached)")
            }
            None => reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 64 << 10;

    #[test]
    fn all_memories_share_the_limit() {
        let mut guard = MemoryGuard::new(4 * PAGE);
        assert!(guard.grow_memory(0, 2 * PAGE));
        assert!(guard.grow_memory(0, PAGE));
        assert!(!guard.grow_memory(2 * PAGE, 4 * PAGE));
        assert_eq!(guard.refused(), Some(5 * PAGE));
        assert!(guard.grow_memory(2 * PAGE, 3 * PAGE));
        assert!(!guard.grow_memory(PAGE, 2 * PAGE));
    }

    #[test]
    fn memory_that_the_runtime_could_not_provide_is_given_back() {
        let mut guard = MemoryGuard::new(4 * PAGE);
        assert!(guard.grow_memory(0, 4 * PAGE));
        guard.grow_failed();
        guard.grow_failed();
        assert!(guard.grow_memory(0, 4 * PAGE));
        assert!(guard.grow_table(0, TABLE_LIMIT));
        assert!(!guard.grow_table(TABLE_LIMIT, TABLE_LIMIT + 1));
        guard.grow_failed();
        assert!(guard.grow_table(0, 1));
        assert!(!guard.grow_memory(4 * PAGE, 5 * PAGE));
    }

    #[test]
    fn a_trap_after_a_refusal_says_so() {
        let mut guard = MemoryGuard::new(128 << 20);
        assert_eq!(guard.explain("unreachable"), "unreachable");
        assert!(!guard.grow_memory(0, usize::MAX));
        assert_eq!(
            guard.explain("unreachable"),
            "unreachable (memory limit of 128 MiB reached)"
        );
    }
}
