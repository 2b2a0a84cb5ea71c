//! The guest that is calling a host function.

use std::ptr::NonNull;

use weir_engine::{HostState, Trap};

use crate::data::Data;
use crate::library::DONE;
use crate::trap::{self, Message};

/// V8's view of the caller as the seam wants it. It lives as long as the host function runs.
pub(crate) struct Guest(NonNull<Data>);

impl Guest {
    /// # Safety
    ///
    /// `data` is that of an instance whose guest is calling on this thread; nothing else holds it.
    pub unsafe fn new(data: NonNull<Data>) -> Self {
        Self(data)
    }

    pub fn data(&mut self) -> &mut Data {
        // SAFETY: `Guest::new`; the borrow ends before the guest runs again, since that takes `&mut self`.
        unsafe { self.0.as_mut() }
    }
}

impl weir_engine::Caller for Guest {
    fn parts(&mut self) -> (&mut [u8], &mut dyn HostState) {
        let data = self.data();
        // SAFETY: the guest waits for the host function, which holds this borrow of `self`; to run it takes another.
        let bytes = unsafe { data.bytes() };
        (bytes, &mut *data.state)
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.data().state
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let number = self.data().allocator.enter()?;
        let data = self.data();
        let (call, raw) = (data.module.library.call, data.raw);
        let mut message = Message::new();
        let mut result = 0;
        // SAFETY: an export of this instance with one `i32` as argument and result (`Instance::set_allocator`). No borrow of
        // the data is alive. Deadline, budget and stack are those of the call that led here.
        let outcome = unsafe {
            call(
                raw,
                number,
                &size,
                1,
                &mut result,
                0,
                message.place(),
                message.room(),
            )
        };
        self.data().allocator.leave(number);
        if outcome == DONE {
            return Ok(result);
        }
        Err(trap::take(outcome, &message, self.data()))
    }
}
