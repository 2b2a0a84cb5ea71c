//! The guest that is calling a host function.

use wasmtime::{Extern, Memory};
use weir_engine::{HostState, Trap};

use crate::instance::Data;
use crate::trap;

/// Wasmtime's view of the caller as the seam wants it.
pub(crate) struct Guest<'a>(pub(crate) wasmtime::Caller<'a, Data>);

impl Guest<'_> {
    /// The memory; looked up by name in the start section only, when the instance is not there yet to remember it, and
    /// in modules that have none.
    fn memory(&mut self) -> Option<Memory> {
        if self.0.data().memory.is_none() {
            let memory = self.0.get_export("memory").and_then(Extern::into_memory);
            self.0.data_mut().memory = memory;
        }
        self.0.data().memory
    }
}

impl weir_engine::Caller for Guest<'_> {
    fn parts(&mut self) -> (&mut [u8], &mut dyn HostState) {
        match self.memory() {
            Some(memory) => {
                let (bytes, data) = memory.data_and_store_mut(&mut self.0);
                (bytes, &mut *data.state)
            }
            None => (&mut [], &mut *self.0.data_mut().state),
        }
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.0.data_mut().state
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let func = self.0.data_mut().allocator.enter()?;
        // The epoch deadline and the budget are those of the call that led here.
        let result = func.call(&mut self.0, size);
        self.0.data_mut().allocator.leave(func);
        result.map_err(|error| trap::of(&error, self.0.data()))
    }
}
