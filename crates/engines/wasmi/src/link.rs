//! Binds the host's table to the imports of one module.

use wasmi::errors::LinkerError;
use wasmi::{Caller, Engine, Error, ExternType, FuncType, Linker, Module, Val};
use weir_engine::{CompileError, HostFunc, HostFuncs, MAX_PARAMS, Trap, TrapKind, ValType};
use weir_engine_support::{ImportKind, guarded, resolve_imports};

use crate::caller::Guest;
use crate::instance::Data;
use crate::trap::Stopped;

/// Resolves every import of `module`, once for all its instances.
pub(crate) fn link(engine: &Engine, module: &Module, funcs: HostFuncs) -> Result<Linker<Data>, CompileError> {
    let imports = module
        .imports()
        .map(|import| (import.module(), import.name(), kind(import.ty())));
    let found = resolve_imports(funcs, imports)?;
    let mut linker = Linker::new(engine);
    // The same function may be imported twice.
    linker.allow_shadowing(true);
    for (import, func) in module.imports().zip(found) {
        if let ExternType::Func(ty) = import.ty() {
            bind(&mut linker, func, ty)
                .map_err(|error| CompileError::Invalid(format!("{}.{}: {error}", func.module, func.name)))?;
        }
    }
    Ok(linker)
}

fn kind(ty: &ExternType) -> ImportKind {
    match ty {
        ExternType::Func(ty) => {
            // wasmi does not print types; its variants are called as the specification calls them.
            let names =
                |types: &[wasmi::ValType]| types.iter().map(|ty| format!("{ty:?}").to_lowercase()).collect();
            ImportKind::Func {
                params: names(ty.params()),
                results: names(ty.results()),
            }
        }
        ExternType::Memory(_) => ImportKind::Other("memory"),
        ExternType::Table(_) => ImportKind::Other("table"),
        ExternType::Global(_) => ImportKind::Other("global"),
    }
}

fn bind(linker: &mut Linker<Data>, func: &'static HostFunc, ty: &FuncType) -> Result<(), LinkerError> {
    if bind_small(linker, func)? {
        return Ok(());
    }
    linker.func_new(
        func.module,
        func.name,
        ty.clone(),
        move |caller, params, results| {
            let mut args = [0; MAX_PARAMS];
            for (arg, param) in args.iter_mut().zip(params) {
                *arg = match param {
                    Val::I32(value) => u64::from(value.cast_unsigned()),
                    Val::I64(value) => value.cast_unsigned(),
                    // `resolve_imports` lets no other type through.
                    _ => 0,
                };
            }
            let value = call(func, caller, args.get(..params.len()).unwrap_or_default())?;
            if let (Some(ty), Some(result)) = (func.signature.result, results.first_mut()) {
                *result = match ty {
                    ValType::I32 => Val::I32((value as u32).cast_signed()),
                    ValType::I64 => Val::I64(value.cast_signed()),
                };
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Calls the host function. Its panic must not unwind through the interpreter, whose functions abort then; it goes on
/// where `run` has left the interpreter.
fn call(func: &HostFunc, caller: Caller<'_, Data>, args: &[u64]) -> Result<u64, Error> {
    let mut guest = Guest(caller);
    match guarded(|| func.run(&mut guest, args)) {
        Ok(Ok(_)) if guest.0.data_mut().expired() => Err(Error::host(Stopped(Trap::new(TrapKind::Deadline)))),
        Ok(result) => result.map_err(|trap| Error::host(Stopped(trap))),
        Err(panic) => {
            guest.0.data_mut().ended.note::<()>(Err(panic));
            Err(Error::host(Stopped(Trap::host("the host panicked"))))
        }
    }
}

macro_rules! small {
    ($($count:literal ($($arg:ident)*) ($($ty:ident)*);)*) => {
        /// Binds a function of `i32` only, which nearly all are, without the allocation that wasmi makes for each call
        /// of a function whose type it learns at run time. `false` where `func` has another type.
        fn bind_small(linker: &mut Linker<Data>, func: &'static HostFunc) -> Result<bool, LinkerError> {
            let signature = func.signature;
            if signature.params.contains(&ValType::I64) {
                return Ok(false);
            }
            match (signature.params.len(), signature.result) {
                $(
                    ($count, Some(ValType::I32)) => {
                        linker.func_wrap(
                            func.module,
                            func.name,
                            move |caller: Caller<'_, Data>, $($arg: $ty),*| -> Result<u32, Error> {
                                call(func, caller, &[$(u64::from($arg)),*]).map(|value| value as u32)
                            },
                        )?;
                    }
                    ($count, None) => {
                        linker.func_wrap(
                            func.module,
                            func.name,
                            move |caller: Caller<'_, Data>, $($arg: $ty),*| -> Result<(), Error> {
                                call(func, caller, &[$(u64::from($arg)),*]).map(|_| ())
                            },
                        )?;
                    }
                )*
                _ => return Ok(false),
            }
            Ok(true)
        }
    };
}

small! {
    0 () ();
    1 (a) (u32);
    2 (a b) (u32 u32);
    3 (a b c) (u32 u32 u32);
    4 (a b c d) (u32 u32 u32 u32);
    5 (a b c d e) (u32 u32 u32 u32 u32);
    6 (a b c d e f) (u32 u32 u32 u32 u32 u32);
    7 (a b c d e f g) (u32 u32 u32 u32 u32 u32 u32);
    8 (a b c d e f g h) (u32 u32 u32 u32 u32 u32 u32 u32);
}
