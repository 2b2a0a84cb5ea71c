//! State that VMs share by `vm_id`: data and queues behind a trait, the in-process store, overlays for trials.
//!
//! A [`Store`] holds the shared state of one `vm_id`. [`Stores`] knows the store of each `vm_id`: a [`MemoryStore`] unless
//! [`Stores::map`] says otherwise. A VM takes a [`StateHandle`] when it starts and reaches its store through that, so that
//! no hostcall looks a store up. A VM that is only tried out gets its handle from [`Stores::overlay`].
//!
//! No method of this crate blocks for longer than a lock is held, because hostcalls call them on the thread of a VM
//! (ADR 0020).
#![forbid(unsafe_code)]

mod consumers;
mod directory;
mod handle;
mod memory;
mod overlay;
mod queue;
mod store;
mod stores;
#[cfg(test)]
mod testing;

pub use handle::StateHandle;
pub use memory::{MemoryQueue, MemoryStore};
pub use queue::{Consumer, Queue, QueueWaker, Subscription};
pub use store::{Store, Usage};
pub use stores::Stores;
