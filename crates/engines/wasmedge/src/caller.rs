//! The guest that is calling a host function.

use std::ffi::c_void;
use std::ptr::NonNull;

use weir_engine::{HostFunc, HostState, MAX_PARAMS, Trap, TrapKind, ValType};
use weir_engine_support::{Verdict, guarded};

use crate::data::{Data, Import};
use crate::library::{FAIL, Frame, Outcome, SUCCESS, Value};
use crate::trap;

/// The library's view of the caller as the seam wants it. It lives as long as the host function runs.
struct Guest(NonNull<Data>);

/// The function that the library calls for every import.
///
/// # Safety
///
/// `import` is an [`Import`] of the instance that is calling; the library gives as many parameters, and as much room for
/// results, as the function's type has.
pub(crate) unsafe extern "C" fn call(
    import: *mut c_void,
    _: *const Frame,
    params: *const Value,
    returns: *mut Value,
) -> Outcome {
    // SAFETY: the library hands back the pointer that the import was made with, to an `Import` of the instance that is
    // calling. Nobody changes an import as long as its instance lives.
    let Some(import) = (unsafe { import.cast::<Import>().as_ref() }) else {
        return FAIL;
    };
    let mut guest = Guest(import.data);
    let outcome = guarded(|| {
        // SAFETY: parameters and results come from the library, in the number that the import's function type has.
        unsafe { guest.run(import.func, params, returns) }
    });
    match guest.data().ended.note(outcome) {
        Some(()) => SUCCESS,
        None => FAIL,
    }
}

impl Guest {
    fn data(&mut self) -> &mut Data {
        // SAFETY: the data of a living instance, whose guest waits for us on this thread; nothing else holds it. The borrow
        // ends before the guest runs again, since that takes `&mut self`.
        unsafe { self.0.as_mut() }
    }

    /// # Safety
    ///
    /// As [`call`].
    unsafe fn run(&mut self, func: &HostFunc, params: *const Value, returns: *mut Value) -> Result<(), Trap> {
        let types = func.signature.params;
        let mut arguments = [0; MAX_PARAMS];
        for (index, (argument, ty)) in arguments.iter_mut().zip(types).enumerate() {
            // SAFETY: `index` is below the number of the function's parameters, and the library gives that many values.
            let bits = unsafe { (*params.add(index)).bits[0] };
            *argument = match ty {
                ValType::I32 => u64::from(bits as u32),
                ValType::I64 => bits,
            };
        }
        let result = func.run(self, arguments.get(..types.len()).unwrap_or_default())?;
        let data = self.data();
        if data.deadline.poll() == Verdict::Expired {
            return Err(Trap::new(TrapKind::Deadline));
        }
        let library = data.module.library;
        let (bits, ty) = match func.signature.result {
            Some(ValType::I32) => (u64::from(result as u32), library.i32),
            Some(ValType::I64) => (result, library.i64),
            None => return Ok(()),
        };
        // SAFETY: the function has a result, so the library gives room for one value.
        unsafe { returns.write(Value { bits: [bits, 0], ty }) };
        Ok(())
    }
}

impl weir_engine::Caller for Guest {
    fn parts(&mut self) -> (&mut [u8], &mut dyn HostState) {
        let data = self.data();
        // SAFETY: the guest waits for the host function, which holds this borrow of `self`; to run it takes another.
        let bytes = unsafe { Data::bytes(&data.module, data.memory) };
        (bytes, &mut *data.state)
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.data().state
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Trap> {
        let data = self.data();
        let func = data.allocator.enter()?;
        let (library, executor) = (data.module.library, data.executor);
        let argument = Value {
            bits: [u64::from(size), 0],
            ty: library.i32,
        };
        let mut result = argument;
        // SAFETY: a function of this instance with one `i32` as argument and result (`Instance::set_allocator`). No borrow of
        // the data is alive. What may be spent is what the call that led here has left.
        let outcome = unsafe { (library.executor_invoke)(executor, func, &argument, 1, &mut result, 1) };
        let data = self.data();
        data.allocator.leave(func);
        if outcome == SUCCESS {
            return Ok(result.bits[0] as u32);
        }
        Err(trap::take(outcome, data))
    }
}
