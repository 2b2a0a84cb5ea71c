//! Answers of foreign functions that come after the function has returned.

use std::fmt;
use std::sync::Arc;

use weir_account::{Account, Charge, Full};

/// The way back to the guest for work that takes time: what is delivered here comes to `proxy_on_foreign_function` of the
/// plugin context that called, with the token as the function's number, on the VM's own thread.
///
/// A dropped one brings no answer, and neither does one whose VM is gone.
pub struct Later {
    token: u32,
    account: Option<Arc<Account>>,
    charge: Charge,
    deliver: Box<dyn FnOnce(Vec<u8>, Charge) + Send>,
}

impl Later {
    /// A way back, for the proxy that makes it. `deliver` is called on any thread, at most once, possibly before the
    /// foreign function has returned: it must leave the delivery to the VM's thread, and not call into the VM. It keeps the
    /// charge until the guest has had the answer.
    pub fn new(token: u32, deliver: impl FnOnce(Vec<u8>, Charge) + Send + 'static) -> Self {
        Self {
            token,
            account: None,
            charge: Charge::none(),
            deliver: Box::new(deliver),
        }
    }

    /// The number by which the guest knows its answer; the function's result should tell it.
    pub const fn token(&self) -> u32 {
        self.token
    }

    /// Has a VM's account pay for the answer.
    pub(crate) fn paid_by(mut self, account: &Arc<Account>) -> Self {
        self.charge = account.empty_charge();
        self.account = Some(Arc::clone(account));
        self
    }

    /// Returns the account that pays for the work and the answer, where somebody does.
    pub const fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// Charges an answer of this many bytes before it is put together.
    ///
    /// # Errors
    ///
    /// The guest's account has no room for it. A function answers with its own words for a failure then.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.checked_sub(self.charge.bytes()) {
            Some(more) => self.charge.grow(more),
            None => Ok(()),
        }
    }

    /// Sends the answer. One that was not reserved and finds no room comes empty.
    pub fn deliver(mut self, answer: Vec<u8>) {
        let answer = match self.reserve(answer.len()) {
            Ok(()) => answer,
            Err(_) => Vec::new(),
        };
        (self.deliver)(answer, self.charge);
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
