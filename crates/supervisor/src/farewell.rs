//! VMs that have ended and whose last calls are still on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the VMs of a supervisor whose end has begun and is not over.
#[derive(Default)]
pub(crate) struct Farewells {
    open: AtomicUsize,
    over: Notify,
}

/// The end of one VM. It is over when this is dropped.
pub(crate) struct Farewell(Arc<Farewells>);

impl Farewells {
    /// The end of a VM begins.
    pub fn begin(self: &Arc<Self>) -> Farewell {
        self.open.fetch_add(1, Ordering::Relaxed);
        Farewell(Arc::clone(self))
    }

    /// Waits until no VM is about to end.
    pub async fn over(&self) {
        loop {
            let over = self.over.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            over.await;
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.over.notify_waiters();
        }
    }
}
