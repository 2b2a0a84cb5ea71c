//! The primitives of the protocols that are model-checked: the standard library's here, loom's in the models.

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
