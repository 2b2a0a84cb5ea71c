//! Runs a guest in slices of fuel.

use wasmi::{AsContextMut, Error, TypedFunc, TypedResumableCall, WasmParams, WasmResults};
use weir_engine::{Trap, TrapKind};

use crate::instance::Data;
use crate::trap;

/// Instructions, roughly, between two looks at the clock: about a millisecond.
pub(crate) const SLICE: u64 = 200_000;

/// Calls `func` and refills the fuel for as long as the store's deadline lets it run.
///
/// The first slice is what the store has: [`SLICE`] in a call from outside, the rest of it in a nested call.
pub(crate) fn run<P: WasmParams, R: WasmResults>(
    mut store: impl AsContextMut<Data = Data>,
    func: TypedFunc<P, R>,
    params: P,
) -> Result<R, Trap> {
    let mut call = func.call_resumable(store.as_context_mut(), params);
    loop {
        call = match call {
            Ok(TypedResumableCall::Finished(result)) => return Ok(result),
            Ok(TypedResumableCall::OutOfFuel(paused)) => {
                if store.as_context_mut().data_mut().tick() {
                    return Err(Trap::new(TrapKind::Deadline));
                }
                // One instruction may need more than a slice: filling or growing a large memory.
                refuel(&mut store, SLICE.saturating_add(paused.required_fuel()));
                paused.resume(store.as_context_mut())
            }
            Ok(TypedResumableCall::HostTrap(stopped)) => return Err(why(stopped.host_error(), &mut store)),
            Err(error) => return Err(why(&error, &mut store)),
        }
    }
}

/// Sets the store's fuel. It fails only where an engine does not count fuel, and ours does.
pub(crate) fn refuel(store: &mut impl AsContextMut<Data = Data>, fuel: u64) {
    if let Err(error) = store.as_context_mut().set_fuel(fuel) {
        tracing::error!("wasmi does not take fuel: {error}");
    }
}

/// The trap that ended a call; a panic of a host function goes on instead.
fn why(error: &Error, store: &mut impl AsContextMut<Data = Data>) -> Trap {
    let mut store = store.as_context_mut();
    let data = store.data_mut();
    data.ended.resume_panic();
    trap::of(error, &data.memory_guard.guard)
}
