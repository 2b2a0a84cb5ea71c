//! Calls in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Account, Charge};

/// The calls of a VM that are in flight. A clone counts the same calls.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// Stands for a call in flight. The call counts among those of its VM, and its request is paid for, until the last clone is
/// dropped: each part of the proxy that keeps something of the request has one.
#[derive(Clone, Debug)]
pub struct CallTicket(Arc<Ticket>);

#[derive(Debug)]
struct Ticket {
    calls: Calls,
    account: Arc<Account>,
    _request: Charge,
}

impl Calls {
    /// Returns the number of calls in flight.
    pub fn in_flight(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a call, whose request has been charged. The caller has looked at the limit: one thread at a time is in the VM.
    #[must_use]
    pub fn begin(&self, account: &Arc<Account>, request: Charge) -> CallTicket {
        self.0.fetch_add(1, Ordering::Relaxed);
        CallTicket(Arc::new(Ticket {
            calls: self.clone(),
            account: Arc::clone(account),
            _request: request,
        }))
    }
}

impl CallTicket {
    /// Returns the account that pays for the answer.
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.calls.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ceiling;

    #[test]
    fn calls_count_until_the_last_clone_is_dropped() {
        let (calls, account) = (Calls::default(), Account::new(100, &Ceiling::default()));
        let ticket = calls.begin(&account, account.charge(60).unwrap());
        let other = ticket.clone();
        drop(ticket);
        assert_eq!((calls.in_flight(), account.held()), (1, 60));
        drop(other);
        assert_eq!((calls.in_flight(), account.held()), (0, 0));
    }
}
