//! Binds the host's table to the imports of one module.

use std::mem::MaybeUninit;

use wasmtime::{ExternType, FuncType, InstancePre, Linker, Module, ValRaw};
use weir_engine::{CompileError, HostFunc, HostFuncs, MAX_PARAMS, Trap, TrapKind, ValType};
use weir_engine_support::{ImportKind, resolve_imports};

use crate::caller::Guest;
use crate::instance::Data;

/// Resolves every import of `module`, once for all its instances.
pub(crate) fn link(module: &Module, funcs: HostFuncs) -> Result<InstancePre<Data>, CompileError> {
    let imports = module
        .imports()
        .map(|import| (import.module(), import.name(), kind(&import.ty())));
    let found = resolve_imports(funcs, imports)?;
    let mut linker = Linker::new(module.engine());
    // The same function may be imported twice.
    linker.allow_shadowing(true);
    for (import, func) in module.imports().zip(found) {
        if let ExternType::Func(ty) = import.ty() {
            bind(&mut linker, func, ty).map_err(|error| {
                CompileError::Invalid(format!("{}.{}: {error:#}", func.module, func.name))
            })?;
        }
    }
    linker
        .instantiate_pre(module)
        .map_err(|error| CompileError::Invalid(format!("{error:#}")))
}

fn kind(ty: &ExternType) -> ImportKind {
    match ty {
        ExternType::Func(ty) => ImportKind::Func {
            params: ty.params().map(|ty| ty.to_string()).collect(),
            results: ty.results().map(|ty| ty.to_string()).collect(),
        },
        ExternType::Memory(_) => ImportKind::Other("memory"),
        ExternType::Table(_) => ImportKind::Other("table"),
        ExternType::Global(_) => ImportKind::Other("global"),
        ExternType::Tag(_) => ImportKind::Other("tag"),
    }
}

/// `ty` is the signature of `func`: `resolve_imports` has compared them.
#[expect(unsafe_code, reason = "raw slots cost a third of what checked values cost")]
fn bind(linker: &mut Linker<Data>, func: &'static HostFunc, ty: FuncType) -> wasmtime::Result<()> {
    let call = move |caller: wasmtime::Caller<'_, Data>, slots: &mut [MaybeUninit<ValRaw>]| {
        let params = func.signature.params;
        let mut args = [0; MAX_PARAMS];
        for ((arg, slot), param) in args.iter_mut().zip(slots.iter()).zip(params) {
            // SAFETY: Wasmtime writes the arguments to the first slots before it calls, one each, and there are as many
            // as `params` has; the zip ends there.
            let slot = unsafe { slot.assume_init_ref() };
            *arg = match param {
                ValType::I32 => u64::from(slot.get_u32()),
                ValType::I64 => slot.get_u64(),
            };
        }
        let args = args.get(..params.len()).unwrap_or_default();
        let mut guest = Guest(caller);
        let result = func.run(&mut guest, args)?;
        if guest.0.data_mut().took_too_long() {
            return Err(Trap::new(TrapKind::Deadline).into());
        }
        if let (Some(ty), Some(slot)) = (func.signature.result, slots.first_mut()) {
            slot.write(match ty {
                ValType::I32 => ValRaw::u32(result as u32),
                ValType::I64 => ValRaw::u64(result),
            });
        }
        Ok(())
    };
    // SAFETY: the closure must read and write the slots as `ty` says. It reads and writes them as `func.signature` says,
    // which `resolve_imports` found equal to `ty`, and it writes the result before it returns `Ok`.
    unsafe { linker.func_new_unchecked(func.module, func.name, ty, call)? };
    Ok(())
}
