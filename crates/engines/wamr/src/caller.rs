//! The guest that is calling a host function.

use std::ptr::NonNull;

use wamrx_sys::{wasm_exec_env_t, wasm_runtime_call_wasm, wasm_runtime_get_module_inst};
use weir_engine::{HostFunc, HostState, Trap};

use crate::data::Data;
use crate::trap;

/// WAMR's view of the caller as the seam wants it. It lives as long as the host function runs.
pub(crate) struct Guest {
    data: NonNull<Data>,
    env: wasm_exec_env_t,
}

impl Guest {
    /// # Safety
    ///
    /// `data` is that of the instance of `env`, whose guest is calling on this thread; nothing else holds it.
    pub unsafe fn new(data: NonNull<Data>, env: wasm_exec_env_t) -> Self {
        Self { data, env }
    }

    pub fn data(&mut self) -> &mut Data {
        // SAFETY: `Guest::new`; the borrow ends before the guest runs again, since that takes `&mut self`.
        unsafe { self.data.as_mut() }
    }

    /// The host's function of a number.
    pub fn func(&mut self, number: usize) -> Result<&'static HostFunc, Trap> {
        let func = self.data().module.table.get(number).copied().flatten();
        func.ok_or_else(|| Trap::host("the guest called a function that it does not import"))
    }
}

impl weir_engine::Caller for Guest {
    fn parts(&mut self) -> (&mut [u8], &mut dyn HostState) {
        let data = self.data();
        // SAFETY: the guest waits for the host function, which holds this borrow of `self`; to run it takes another.
        let bytes = unsafe { Data::bytes(data.memory) };
        (bytes, &mut *data.state)
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.data().state
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let func = self.data().allocator.enter()?;
        let mut slots = [size];
        // SAFETY: a function of this instance with one `i32` as argument and result (`Instance::set_allocator`). No borrow
        // of the data is alive. Deadline and budget are those of the call that led here.
        let done = unsafe { wasm_runtime_call_wasm(self.env, func, 1, slots.as_mut_ptr()) };
        self.data().allocator.leave(func);
        if done {
            return Ok(slots[0]);
        }
        // SAFETY: the instance is alive.
        let instance = unsafe { wasm_runtime_get_module_inst(self.env) };
        Err(trap::take(instance, self.data()))
    }
}
