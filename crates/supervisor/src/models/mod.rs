//! Model checks: loom runs every interleaving of the threads in each test. The protocols are the crate's own files, read once
//! more with loom's primitives.
#![allow(
    clippy::duplicate_mod,
    reason = "loom's primitives take the place of the standard library's"
)]

#[allow(dead_code, reason = "the models use what they check")]
#[path = "../mailbox.rs"]
mod mailbox;
#[allow(dead_code, reason = "the models use what they check")]
#[path = "../slot_state.rs"]
mod slot_state;
#[allow(dead_code, reason = "the models use what they check")]
#[path = "../wakeup.rs"]
mod wakeup;

mod mail;
mod slots;
mod wake_ups;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}
