//! Executors and stores.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;

use wasmi::{Caller, Linker, Module, Store, StoreLimits, StoreLimitsBuilder, Val, ValType};

use crate::instances::{Function, Guest, HostFunction, ModuleInstance};
use crate::values::{Outcome, Value};
use crate::{Configure, ENGINE};

/// `WasmEdge_ExecutorContext`.
struct Executor {
    pages: u64,
}

/// `WasmEdge_StoreContext`: the modules of the host.
struct Modules(Vec<*const ModuleInstance>);

/// What reaches a guest's store: its own, or the call that it is in.
pub(crate) enum Context<'a> {
    Store(&'a mut Store<StoreLimits>),
    Caller(&'a mut Caller<'static, StoreLimits>),
}

thread_local! {
    /// The host functions that run on this thread, the innermost last.
    static CALLERS: RefCell<Vec<*mut Caller<'static, StoreLimits>>> = const { RefCell::new(Vec::new()) };
}

/// Does something with the store of a guest.
pub(crate) unsafe fn with_context<R>(guest: *mut Guest, work: impl FnOnce(Context<'_>) -> R) -> R {
    let caller = CALLERS.with_borrow(|callers| callers.last().copied());
    match caller {
        Some(caller) => work(Context::Caller(unsafe { &mut *caller })),
        None => work(Context::Store(unsafe { &mut (*guest).store })),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorCreate(configure: *const c_void, _: *mut c_void) -> *mut c_void {
    let pages = unsafe { &*configure.cast::<Configure>() }.pages;
    Box::into_raw(Box::new(Executor { pages })).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorDelete(executor: *mut c_void) {
    drop(unsafe { Box::from_raw(executor.cast::<Executor>()) });
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_StoreCreate() -> *mut c_void {
    Box::into_raw(Box::new(Modules(Vec::new()))).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_StoreDelete(store: *mut c_void) {
    drop(unsafe { Box::from_raw(store.cast::<Modules>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorRegisterImport(
    _: *mut c_void,
    store: *mut c_void,
    module: *const c_void,
) -> Outcome {
    unsafe { (*store.cast::<Modules>()).0.push(module.cast()) };
    Outcome::SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorInstantiate(
    executor: *mut c_void,
    instance: *mut *mut c_void,
    store: *mut c_void,
    ast: *const c_void,
) -> Outcome {
    let (executor, modules) = unsafe { (&*executor.cast::<Executor>(), &*store.cast::<Modules>()) };
    let limits = StoreLimitsBuilder::new().memory_size(executor.pages as usize * 65536);
    let mut store = Store::new(&ENGINE, limits.build());
    store.limiter(|limits| limits);
    let mut linker = Linker::new(&ENGINE);
    for module in &modules.0 {
        let ModuleInstance::Host(module, functions) = (unsafe { &**module }) else {
            continue;
        };
        for (name, function) in functions {
            let Function::Host { ty, function, data } = &**function else {
                continue;
            };
            let (function, data) = (*function, data.addr());
            let bound = linker.func_new(module, name, ty.clone(), move |caller, params, results| {
                call_host(
                    function,
                    ptr::with_exposed_provenance_mut(data),
                    caller,
                    params,
                    results,
                )
            });
            if bound.is_err() {
                return Outcome::UNKNOWN_IMPORT;
            }
        }
    }
    match linker.instantiate_and_start(&mut store, unsafe { &*ast.cast::<Module>() }) {
        Ok(made) => {
            let guest = ModuleInstance::Guest(Box::new(Guest::new(store, made)));
            unsafe { instance.write(Box::into_raw(Box::new(guest)).cast()) };
            Outcome::SUCCESS
        }
        Err(error) => Outcome::of_start(&error),
    }
}

fn call_host(
    function: HostFunction,
    data: *mut c_void,
    mut caller: Caller<'_, StoreLimits>,
    params: &[Val],
    results: &mut [Val],
) -> Result<(), wasmi::Error> {
    let params: Vec<Value> = params.iter().map(Value::of).collect();
    let mut returns: Vec<Value> = results.iter().map(Value::of).collect();
    CALLERS.with_borrow_mut(|callers| callers.push(ptr::from_mut(&mut caller).cast()));
    let outcome = unsafe { function(data, ptr::null(), params.as_ptr(), returns.as_mut_ptr()) };
    CALLERS.with_borrow_mut(Vec::pop);
    if outcome != Outcome::SUCCESS {
        return Err(wasmi::Error::new("the host function failed"));
    }
    for (result, value) in results.iter_mut().zip(returns) {
        *result = value.wasmi();
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorInvoke(
    _: *mut c_void,
    function: *const c_void,
    params: *const Value,
    param_count: u32,
    returns: *mut Value,
    return_count: u32,
) -> Outcome {
    let Function::Guest(function) = (unsafe { &*function.cast::<Function>() }) else {
        return Outcome::FAIL;
    };
    let params: Vec<Val> = (0..param_count as usize)
        .map(|index| unsafe { *params.add(index) }.wasmi())
        .collect();
    let outcome = unsafe {
        with_context(function.guest, |context| {
            let call = |context: Context<'_>, results: &mut [Val]| match context {
                Context::Store(store) => function.it.call(store, &params, results),
                Context::Caller(caller) => function.it.call(caller, &params, results),
            };
            let mut results = vec![Val::default_for_ty(ValType::I32); return_count as usize];
            call(context, &mut results).map(|()| results)
        })
    };
    match outcome {
        Ok(results) => {
            for (index, result) in results.iter().enumerate() {
                unsafe { returns.add(index).write(Value::of(result)) };
            }
            Outcome::SUCCESS
        }
        Err(error) => Outcome::of(&error),
    }
}
