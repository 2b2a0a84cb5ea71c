//! Host functions that end the guest, where the runtime cannot carry the reason.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use weir_engine::Trap;

/// Runs a host function so that its panic does not unwind through frames of a runtime.
///
/// Things that the function changed may be half changed then, but nobody sees it: whoever gets the panic ends the instance.
#[inline]
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Trap>) -> thread::Result<Result<T, Trap>> {
    catch_unwind(AssertUnwindSafe(work))
}

/// The reason for which a host function has ended the guest, on its way past the runtime.
#[derive(Default)]
pub struct Ended {
    trap: Option<Trap>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Ended {
    /// The value of a host function; else notes the trap or the panic, and the backend has its runtime end the guest.
    #[inline]
    pub fn note<T>(&mut self, outcome: thread::Result<Result<T, Trap>>) -> Option<T> {
        match outcome {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(trap)) => self.trap = Some(trap),
            Err(panic) => self.panic = Some(panic),
        }
        None
    }

    /// Notes a trap that the runtime does not know.
    pub fn set_trap(&mut self, trap: Trap) {
        self.trap = Some(trap);
    }

    /// True if a trap has been noted.
    pub const fn has_trap(&self) -> bool {
        self.trap.is_some()
    }

    /// The trap that has been noted.
    pub fn take_trap(&mut self) -> Option<Trap> {
        self.trap.take()
    }

    /// Lets a panic go on that has been noted. A backend calls this once the frames of its runtime are gone.
    #[inline]
    pub fn resume_panic(&mut self) {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
    }
}
