//! Shared data and shared queues of guests.
#![forbid(unsafe_code)]

mod data;
mod key;
mod queue;

pub use data::SharedData;
pub use queue::{QueueWaker, SharedQueues};
