//! Numbers of contexts.

use std::fmt;
use std::num::NonZeroU32;

/// Number of a plugin or stream context: unique in its VM, opaque to guests, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(NonZeroU32);

impl ContextId {
    /// The context with this number; `None` for 0.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number that the guest sees.
    pub const fn wire(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
