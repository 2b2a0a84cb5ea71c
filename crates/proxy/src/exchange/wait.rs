//! Waiting for what a reply or a reset makes pointless.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use weir_chain::Direction;

use super::Exchange;

/// The end of a wait.
pub(super) enum Waited<T> {
    Done(T),
    Stopped,
    TimedOut,
}

impl<T> Waited<T> {
    /// True if the wait was made pointless.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }
}

impl Exchange {
    /// Waits for something that a reply or a reset makes pointless. `limit` counts while it is the upstream's turn: from the end
    /// of the request, and from the last piece of the request after which the upstream asked for no more.
    pub(super) async fn unless_stopped<F: Future>(
        &self,
        work: F,
        limit: Option<Duration>,
    ) -> Waited<F::Output> {
        let mut work = pin!(work);
        let mut timer = pin!(None::<tokio::time::Sleep>);
        poll_fn(|cx| {
            {
                let mut state = self.state.borrow_mut();
                if state.stopped(Direction::Request) {
                    return Poll::Ready(Waited::Stopped);
                }
                state.register_service(cx);
            }
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                // The work itself may have run a filter that replied.
                let stopped = self.state.borrow().stopped(Direction::Request);
                return Poll::Ready(if stopped {
                    Waited::Stopped
                } else {
                    Waited::Done(output)
                });
            }
            let Some(limit) = limit else {
                return Poll::Pending;
            };
            loop {
                match timer.as_mut().as_pin_mut() {
                    None => timer.set(Some(tokio::time::sleep(limit))),
                    Some(running) => {
                        if running.poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        let since = self.state.borrow().messages.facts.upstreams_turn();
                        match since.map(|since| limit.saturating_sub(since.elapsed())) {
                            Some(Duration::ZERO) => return Poll::Ready(Waited::TimedOut),
                            Some(left) => timer.set(Some(tokio::time::sleep(left))),
                            // The client still sends; that it does is the business of the idle timeout.
                            None => timer.set(Some(tokio::time::sleep(limit))),
                        }
                    }
                }
            }
        })
        .await
    }
}
