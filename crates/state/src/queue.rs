//! The trait of a queue, and how its consumers are woken.

use std::sync::Arc;

use weir_abi::{ContextId, Status};

/// A shared queue: first in, first out. Any VM may put entries in and take them out; consumers are told of entries.
///
/// As for [`Store`](crate::Store), hostcalls call these methods on any thread, and none waits.
pub trait Queue: Send + Sync {
    /// Puts an entry at the end and wakes one consumer, each in its turn.
    ///
    /// # Errors
    ///
    /// `NotFound` if the queue is full ([`MAX_QUEUE_BYTES`](weir_abi::limits::MAX_QUEUE_BYTES),
    /// [`MAX_QUEUE_ENTRIES`](weir_abi::limits::MAX_QUEUE_ENTRIES)): it is the one refusal that SDKs take without a panic,
    /// and a consumer that stands still must not bring down those who produce.
    fn enqueue(&self, entry: &[u8]) -> Result<(), Status>;

    /// Takes the oldest entry.
    ///
    /// # Errors
    ///
    /// `Empty` if there is none.
    fn dequeue(&self) -> Result<Vec<u8>, Status>;

    /// Adds a consumer. Entries that wait already wake it. A consumer that is known stays as it is.
    fn subscribe(&self, subscription: Subscription);

    /// A wake-up of this consumer has arrived and `proxy_on_queue_ready` is about to be called. False if the consumer is
    /// unknown by now, and must not be called.
    fn begin_call(&self, consumer: Consumer) -> bool;

    /// The consumer has been called. It is woken again if more entries are its turn.
    fn end_call(&self, consumer: Consumer);

    /// Removes the consumers of a VM that has ended. Entries that they were woken for and did not take wake another
    /// consumer.
    fn unsubscribe(&self, vm: u64);
}

/// A plugin context that consumes a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Number of its VM, unique in the process.
    pub vm: u64,
    /// The plugin context in that VM.
    pub plugin: ContextId,
}

/// A consumer, and the way to wake it.
#[derive(Clone)]
pub struct Subscription {
    /// The consumer.
    pub consumer: Consumer,
    /// The number by which its guest knows the queue.
    pub queue: u32,
    /// Wakes the consumer's VM.
    pub waker: Arc<dyn QueueWaker>,
}

/// The way in which a queue tells a proxy that a plugin of a VM has something to take.
///
/// Called on any thread, also inside another VM's hostcall: it must only leave a note for the thread of its VM, which
/// then calls `Vm::on_queue_ready`. A consumer has at most one note under way at a time.
pub trait QueueWaker: Send + Sync {
    /// Plugin context `plugin` of this waker's VM shall look into `queue`.
    fn wake(&self, plugin: ContextId, queue: u32);
}
