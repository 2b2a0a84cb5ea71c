//! wasmi's errors as traps of the seam.

use std::fmt;

use wasmi::TrapCode;
use wasmi::errors::HostError;
use weir_engine::{Trap, TrapKind};
use weir_engine_support::{GuestFault, MemoryGuard};

/// A trap on its way from a host function through wasmi.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) Trap);

impl HostError for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns true if the error comes from running code, the guest's or a host function's.
pub(crate) fn is_trap(error: &wasmi::Error) -> bool {
    error.as_trap_code().is_some() || error.downcast_ref::<Stopped>().is_some()
}

/// The trap that ended a call.
pub(crate) fn of(error: &wasmi::Error, guard: &MemoryGuard) -> Trap {
    if let Some(Stopped(trap)) = error.downcast_ref() {
        return trap.clone();
    }
    Trap::new(match error.as_trap_code() {
        Some(code) => kind(code, guard),
        None => TrapKind::Guest(guard.explain(&error.to_string())),
    })
}

fn kind(code: TrapCode, guard: &MemoryGuard) -> TrapKind {
    let fault = match code {
        TrapCode::OutOfFuel => return TrapKind::Deadline,
        TrapCode::StackOverflow => return TrapKind::StackOverflow,
        TrapCode::UnreachableCodeReached => GuestFault::Unreachable,
        TrapCode::MemoryOutOfBounds => GuestFault::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds => GuestFault::TableOutOfBounds,
        TrapCode::IndirectCallToNull => GuestFault::NullFunction,
        TrapCode::BadSignature => GuestFault::BadSignature,
        TrapCode::IntegerDivisionByZero => GuestFault::DivisionByZero,
        TrapCode::IntegerOverflow => GuestFault::IntegerOverflow,
        TrapCode::BadConversionToInteger => GuestFault::BadConversion,
        other => return TrapKind::Guest(guard.explain(&other.to_string())),
    };
    guard.trap(fault)
}
