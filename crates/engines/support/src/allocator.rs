//! The guest's allocator, the one function that a host function may call in the guest.

use std::mem;

use weir_engine::Trap;

/// The allocator of an instance, as a function `F` of the runtime.
#[derive(Clone, Copy, Debug)]
pub enum Allocator<F> {
    /// The host has not set one: the module has none, or its start section runs.
    Unset,
    /// At rest.
    Ready(F),
    /// Running: a host function that it calls must not enter it again.
    Busy,
}

impl<F> Allocator<F> {
    /// The allocator that the host sets; `None` where the export it names is none.
    pub fn of(func: Option<F>) -> Self {
        func.map_or(Self::Unset, Self::Ready)
    }

    /// Takes the function for a call, which [`Allocator::leave`] ends.
    ///
    /// # Errors
    ///
    /// There is none, or it runs.
    #[inline(always)]
    pub fn enter(&mut self) -> Result<F, Trap> {
        match mem::replace(self, Self::Busy) {
            Self::Ready(func) => Ok(func),
            other => Err(self.refuse(other)),
        }
    }

    #[cold]
    fn refuse(&mut self, was: Self) -> Trap {
        let reason = match was {
            Self::Busy => "the guest's allocator called a hostcall that allocates",
            _ => "the guest has no allocator yet",
        };
        *self = was;
        Trap::host(reason)
    }

    /// Ends the call that [`Allocator::enter`] began.
    #[inline(always)]
    pub fn leave(&mut self, func: F) {
        *self = Self::Ready(func);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_is_entered_once_at_a_time() {
        let mut allocator = Allocator::of(Some(7));
        assert_eq!(allocator.enter(), Ok(7));
        assert!(allocator.enter().is_err());
        allocator.leave(7);
        assert_eq!(allocator.enter(), Ok(7));
    }

    #[test]
    fn without_one_there_is_a_reason_each_time() {
        let mut allocator = Allocator::<u32>::of(None);
        for _ in 0..2 {
            assert_eq!(
                allocator.enter(),
                Err(Trap::host("the guest has no allocator yet"))
            );
        }
    }
}
