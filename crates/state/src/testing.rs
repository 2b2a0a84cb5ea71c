//! Helpers for the tests of several modules.

use std::sync::{Arc, Mutex};

use weir_abi::ContextId;

use crate::{Consumer, QueueWaker, Subscription};

/// Remembers what it was woken for: the plugin context and the queue.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<(u32, u32)>>);

impl Notes {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn take(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl QueueWaker for Notes {
    fn wake(&self, plugin: ContextId, queue: u32) {
        self.0.lock().unwrap().push((plugin.wire(), queue));
    }
}

pub(crate) fn plugin(id: u32) -> ContextId {
    ContextId::new(id).unwrap()
}

/// Plugin context 1 of a VM.
pub(crate) fn consumer(vm: u64) -> Consumer {
    Consumer {
        vm,
        plugin: plugin(1),
    }
}

/// Plugin context 1 of a VM as a consumer of what it knows as queue 7.
pub(crate) fn subscription(vm: u64, notes: &Arc<Notes>) -> Subscription {
    Subscription {
        consumer: consumer(vm),
        queue: 7,
        waker: Arc::clone(notes) as Arc<dyn QueueWaker>,
    }
}
