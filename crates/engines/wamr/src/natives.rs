//! Host functions as WAMR knows them: by name, for the whole process and for ever.
//!
//! The meaning of a name is a module's affair: its import has a type, and the host may have several functions of the name. So
//! WAMR gets one and the same function for all names, with a number attached, and each module has a table from numbers to
//! the host's functions.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr;

use wamrx_sys::{
    NativeSymbol, wasm_exec_env_t, wasm_runtime_get_function_attachment, wasm_runtime_get_module_inst,
    wasm_runtime_register_natives_raw, wasm_runtime_set_exception,
};
use weir_engine::{CompileError, HostFunc, MAX_PARAMS, ValType};
use weir_engine_support::guarded;

use crate::caller::Guest;
use crate::data::Data;

/// Names that WAMR knows, with their numbers.
#[derive(Default)]
pub(crate) struct Natives(HashMap<(&'static str, &'static str), usize>);

/// The host's functions by their numbers; `None` for what the module does not import.
pub(crate) type Table = Box<[Option<&'static HostFunc>]>;

impl Natives {
    /// Makes functions known; gives the table of a module that imports them.
    pub fn table(&mut self, funcs: &[&'static HostFunc]) -> Result<Table, CompileError> {
        let mut table: Vec<Option<&'static HostFunc>> = Vec::new();
        for func in funcs {
            let number = self.number(func)?;
            if table.len() <= number {
                table.resize(number + 1, None);
            }
            if let Some(entry) = table.get_mut(number) {
                *entry = Some(*func);
            }
        }
        Ok(table.into())
    }

    fn number(&mut self, func: &'static HostFunc) -> Result<usize, CompileError> {
        let next = self.0.len();
        if let Some(number) = self.0.get(&(func.module, func.name)) {
            return Ok(*number);
        }
        let refused = || CompileError::Invalid(format!("WAMR cannot bind {}.{}", func.module, func.name));
        let text = |text: &str| CString::new(text).map(|text| text.into_raw().cast_const());
        let (Ok(module), Ok(name)) = (text(func.module), text(func.name)) else {
            return Err(refused());
        };
        // WAMR keeps all of it, so it is leaked: some hundred names for a process.
        let symbol = Box::leak(Box::new(NativeSymbol {
            symbol: name,
            func_ptr: call as *mut c_void,
            // No conversion of addresses: the host checks them itself.
            signature: ptr::null(),
            attachment: ptr::without_provenance_mut(next),
        }));
        // SAFETY: the texts and the symbol live for ever, and WAMR's list is touched only under the lock that `self` is in
        // (`Runtime::natives`).
        if !unsafe { wasm_runtime_register_natives_raw(module, symbol, 1) } {
            return Err(refused());
        }
        self.0.insert((func.module, func.name), next);
        Ok(next)
    }
}

/// The function that WAMR calls for every import: arguments lie in `slots`, and there the result goes.
unsafe extern "C" fn call(env: wasm_exec_env_t, slots: *mut u64) {
    // SAFETY: WAMR gives the environment of the instance that is calling, whose data is there until it has gone.
    let guest = unsafe {
        let number = wasm_runtime_get_function_attachment(env).addr();
        Data::of(wasm_runtime_get_module_inst(env)).map(|data| (Guest::new(data, env), number))
    };
    let Some((mut guest, number)) = guest else {
        return;
    };
    let outcome = guarded(|| {
        let func = guest.func(number)?;
        let params = func.signature.params;
        let mut arguments = [0; MAX_PARAMS];
        for (index, (argument, param)) in arguments.iter_mut().zip(params).enumerate() {
            // SAFETY: WAMR puts each argument into a slot of its own, as many as the import's type has, which is that of
            // `func` (`resolve_imports`). Of an `i32` it writes the lower half.
            let slot = unsafe { slots.add(index) };
            *argument = match param {
                // SAFETY: the slot is within the arguments; little-endian, so the lower half of it comes first.
                ValType::I32 => u64::from(unsafe { slot.cast::<u32>().read() }),
                // SAFETY: the slot is within the arguments, and WAMR has written all of it.
                ValType::I64 => unsafe { slot.read() },
            };
        }
        let result = func.run(&mut guest, arguments.get(..params.len()).unwrap_or_default())?;
        if func.signature.result.is_some() {
            // SAFETY: there is a first slot for the result even where there are no arguments.
            unsafe { slots.write(result) };
        }
        Ok(())
    });
    if guest.data().ended.note(outcome).is_some() {
        return;
    }
    // SAFETY: the instance that is calling; the text is copied. WAMR unwinds the guest when we return.
    unsafe { wasm_runtime_set_exception(wasm_runtime_get_module_inst(env), c"host".as_ptr()) };
}
