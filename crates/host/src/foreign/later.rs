//! Answers of foreign functions that come after the function has returned.

use std::fmt;

/// The way back to the guest for work that takes time: what is delivered here comes to `proxy_on_foreign_function` of the
/// plugin context that called, with the token as the function's number, on the VM's own thread.
///
/// It can be dropped: then nothing comes. Nothing comes either once the VM is gone.
pub struct Later {
    token: u32,
    deliver: Box<dyn FnOnce(Vec<u8>) + Send>,
}

impl Later {
    /// A way back, for the proxy that makes it. `deliver` is called on any thread, at most once, possibly before the
    /// foreign function has returned: it must leave the delivery to the VM's thread, and not call into the VM.
    pub fn new(token: u32, deliver: impl FnOnce(Vec<u8>) + Send + 'static) -> Self {
        Self {
            token,
            deliver: Box::new(deliver),
        }
    }

    /// What the guest knows its answer by; the function's result should tell it.
    pub const fn token(&self) -> u32 {
        self.token
    }

    /// Sends the answer.
    pub fn deliver(self, answer: Vec<u8>) {
        (self.deliver)(answer);
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
