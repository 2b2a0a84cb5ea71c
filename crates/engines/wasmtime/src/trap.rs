//! Wasmtime's errors as traps of the seam.

use wasmtime::WasmBacktrace;
use weir_engine::{Frame, Trap, TrapKind};
use weir_engine_support::{GuestFault, MemoryGuard};

use crate::instance::Data;
use crate::module::Form;

/// Returns true if the error comes from running code, the guest's or a host function's.
pub(crate) fn is_trap(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::Trap>() || error.is::<Trap>()
}

/// The trap that ended a call.
pub(crate) fn of(error: &wasmtime::Error, data: &Data) -> Trap {
    let guard = &data.memory_guard.0;
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let mut trap = trap.clone();
        // A trap of the allocator has its backtrace already, and that goes through to the outermost function.
        if trap.backtrace.is_empty() {
            trap.backtrace = backtrace(error, data.form);
        }
        return trap;
    }
    let kind = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => kind(*trap, guard),
        None => TrapKind::Guest(guard.explain(&format!("{error:#}"))),
    };
    Trap {
        kind,
        backtrace: backtrace(error, data.form),
    }
}

fn kind(trap: wasmtime::Trap, guard: &MemoryGuard) -> TrapKind {
    use wasmtime::Trap as T;
    let fault = match trap {
        T::Interrupt | T::OutOfFuel => return TrapKind::Deadline,
        T::StackOverflow => return TrapKind::StackOverflow,
        T::UnreachableCodeReached => GuestFault::Unreachable,
        T::MemoryOutOfBounds => GuestFault::MemoryOutOfBounds,
        T::TableOutOfBounds => GuestFault::TableOutOfBounds,
        T::IndirectCallToNull => GuestFault::NullFunction,
        T::BadSignature => GuestFault::BadSignature,
        T::IntegerDivisionByZero => GuestFault::DivisionByZero,
        T::IntegerOverflow => GuestFault::IntegerOverflow,
        T::BadConversionToInteger => GuestFault::BadConversion,
        other => return TrapKind::Guest(guard.explain(&other.to_string())),
    };
    guard.trap(fault)
}

fn backtrace(error: &wasmtime::Error, form: Form) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let frame = |frame: &wasmtime::FrameInfo| Frame {
        function: frame.func_name().map(readable),
        index: frame.func_index(),
        offset: frame.module_offset().and_then(|offset| match form {
            Form::Original => Some(offset),
            Form::Rewritten { moved } => offset.checked_add_signed(isize::try_from(-moved).ok()?),
        }),
    };
    backtrace.frames().iter().map(frame).collect()
}

/// The name without its mangling and without the hash that Rust appends. Other toolchains write readable names.
fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
