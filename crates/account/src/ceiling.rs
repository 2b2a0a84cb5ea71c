//! The bound of a process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use weir_abi::limits::HOST_MEMORY_OF_PROCESS;

/// The memory that all accounts of a process may hold together. A clone is the same ceiling.
#[derive(Clone)]
pub struct Ceiling(Arc<Inner>);

struct Inner {
    held: AtomicUsize,
    limit: AtomicUsize,
    refused: AtomicU64,
}

/// [`HOST_MEMORY_OF_PROCESS`].
impl Default for Ceiling {
    fn default() -> Self {
        Self::new(HOST_MEMORY_OF_PROCESS)
    }
}

impl Ceiling {
    /// Makes a ceiling of this many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner {
            held: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            refused: AtomicU64::new(0),
        }))
    }

    /// Sets the limit in bytes. What is held beyond stays; nothing is added to it.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// Returns the limit in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Returns the bytes that all accounts hold, each rounded up to whole blocks.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Returns the number of charges that were refused, by an account of its own accord or for the ceiling's sake.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Adds blocks. `false`: they are above the limit, and the caller has to take them back.
    #[must_use]
    pub(crate) fn add(&self, bytes: usize) -> bool {
        let held = self.0.held.fetch_add(bytes, Ordering::Relaxed);
        held.saturating_add(bytes) <= self.limit()
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn count_refusal(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ceiling({} of {})", self.held(), self.limit())
    }
}
