//! The executor of hyper's background work.

use std::future::Future;

/// Runs hyper's HTTP/2 tasks on the `LocalSet` of the current thread, so that bodies need not be `Send`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalExec;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExec {
    fn execute(&self, future: F) {
        // The handle is not needed: the task ends with its connection.
        drop(tokio::task::spawn_local(future));
    }
}
