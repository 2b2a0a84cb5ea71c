//! WAMR's exceptions as traps of the seam.

use std::ffi::CStr;

use wamrx_sys::{wasm_module_inst_t, wasm_runtime_clear_exception, wasm_runtime_get_exception};
use weir_engine::{Trap, TrapKind};
use weir_engine_support::{GuestFault, MemoryGuard};

use crate::data::Data;

/// The prefix of every exception of WAMR.
const PREFIX: &str = "Exception: ";

/// The exception that ends a guest from outside.
const TERMINATED: &str = "terminated by user";

/// The trap that ended a call.
pub(crate) fn take(instance: wasm_module_inst_t, data: &mut Data) -> Trap {
    if let Some(trap) = data.ended.take_trap() {
        // The instance may be called again: a guest whose main function exits is one that has started.
        // SAFETY: the instance is alive, and its guest does not run.
        unsafe { wasm_runtime_clear_exception(instance) };
        return trap;
    }
    // SAFETY: the instance is alive; the text is null or ends with NUL, and is copied at once.
    let text = unsafe {
        let text = wasm_runtime_get_exception(instance);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Trap::new(kind(text.as_deref().unwrap_or("unknown error"), &data.guard))
}

fn kind(text: &str, guard: &MemoryGuard) -> TrapKind {
    match text.strip_prefix(PREFIX).unwrap_or(text) {
        TERMINATED => TrapKind::Deadline,
        "wasm operand stack overflow" | "native stack overflow" | "wasm auxiliary stack overflow" => {
            TrapKind::StackOverflow
        }
        text => TrapKind::Guest(guard.explain(GuestFault::reworded(text))),
    }
}
