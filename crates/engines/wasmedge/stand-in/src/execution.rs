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

/// The way to a guest's store: its own, or the call that it is in.
pub(crate) enum Context<'a> {
    Store(&'a mut Store<StoreLimits>),
    Caller(&'a mut Caller<'static, StoreLimits>),
}

thread_local! {
    /// The host functions that run on this thread, the innermost last.
    static CALLERS: RefCell<Vec<*mut Caller<'static, StoreLimits>>> = const { RefCell::new(Vec::new()) };
}

/// Does something with the store of a guest.
///
/// # Safety
///
/// The guest is alive, nothing else refers to its store, and this thread alone uses it.
pub(crate) unsafe fn with_context<R>(guest: *mut Guest, work: impl FnOnce(Context<'_>) -> R) -> R {
    let caller = CALLERS.with_borrow(|callers| callers.last().copied());
    match caller {
        // SAFETY: `call_host` keeps its caller in the list for as long as the host function runs that has called us, and does
        // not touch it meanwhile. Its lifetime ends with `work`.
        Some(caller) => work(Context::Caller(unsafe { &mut *caller })),
        // SAFETY: the caller's: the guest is alive, and no host function of it runs, so nobody else holds the store.
        None => work(Context::Store(unsafe { &mut (*guest).store })),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorCreate(configure: *const c_void, _: *mut c_void) -> *mut c_void {
    // SAFETY: a configuration of `WasmEdge_ConfigureCreate` that is not deleted.
    let pages = unsafe { &*configure.cast::<Configure>() }.pages;
    Box::into_raw(Box::new(Executor { pages })).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorDelete(executor: *mut c_void) {
    // SAFETY: the box of `WasmEdge_ExecutorCreate`, which is deleted once.
    drop(unsafe { Box::from_raw(executor.cast::<Executor>()) });
}

#[unsafe(no_mangle)]
extern "C" fn WasmEdge_StoreCreate() -> *mut c_void {
    Box::into_raw(Box::new(Modules(Vec::new()))).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_StoreDelete(store: *mut c_void) {
    // SAFETY: the box of `WasmEdge_StoreCreate`, which is deleted once.
    drop(unsafe { Box::from_raw(store.cast::<Modules>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ExecutorRegisterImport(
    _: *mut c_void,
    store: *mut c_void,
    module: *const c_void,
) -> Outcome {
    // SAFETY: a store of `WasmEdge_StoreCreate` that is not deleted; nobody else uses it meanwhile.
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
    // SAFETY: an executor and a store of their `...Create` functions, neither deleted.
    let (executor, modules) = unsafe { (&*executor.cast::<Executor>(), &*store.cast::<Modules>()) };
    let limits = StoreLimitsBuilder::new().memory_size(executor.pages as usize * 65536);
    let mut store = Store::new(&ENGINE, limits.build());
    store.limiter(|limits| limits);
    let mut linker = Linker::new(&ENGINE);
    for module in &modules.0 {
        // SAFETY: a module that was registered; it is deleted after the instances of the store.
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
    // SAFETY: a module of `WasmEdge_LoaderParseFromBytes` that is not deleted; modules do not change.
    match linker.instantiate_and_start(&mut store, unsafe { &*ast.cast::<Module>() }) {
        Ok(made) => {
            let guest = ModuleInstance::Guest(Box::new(Guest::new(store, made)));
            // SAFETY: the caller's place for the instance, which is writable.
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
    // SAFETY: function and data came together (`WasmEdge_FunctionInstanceCreate`); there are as many parameters, and as much
    // room for results, as the function's type has, for wasmi has made them from it.
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
    // SAFETY: a function of `WasmEdge_ModuleInstanceFindFunction`, whose guest is not deleted.
    let Function::Guest(function) = (unsafe { &*function.cast::<Function>() }) else {
        return Outcome::FAIL;
    };
    let params: Vec<Val> = (0..param_count as usize)
        // SAFETY: the caller gives so many parameters.
        .map(|index| unsafe { *params.add(index) }.wasmi())
        .collect();
    // SAFETY: the function's guest is alive as long as the function, and no reference to its store is kept here.
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
                // SAFETY: the caller has room for `return_count` results, and there are so many.
                unsafe { returns.add(index).write(Value::of(result)) };
            }
            Outcome::SUCCESS
        }
        Err(error) => Outcome::of(&error),
    }
}
