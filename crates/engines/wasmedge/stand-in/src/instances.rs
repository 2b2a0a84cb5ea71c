//! Instances of modules, functions, memories and globals.

use std::ffi::c_void;
use std::ptr;

use wasmi::{FuncType, Global, Instance, Memory, Store, StoreLimits};

use crate::execution::{Context, with_context};
use crate::values::{Outcome, Text, Type, Value};

/// `WasmEdge_HostFunc_t`.
pub(crate) type HostFunction =
    unsafe extern "C" fn(*mut c_void, *const c_void, *const Value, *mut Value) -> Outcome;

/// `WasmEdge_ModuleInstanceContext`.
pub(crate) enum ModuleInstance {
    /// Made by the host.
    Host(String, Vec<(String, Box<Function>)>),
    /// A guest.
    Guest(Box<Guest>),
}

#[expect(
    clippy::vec_box,
    reason = "pointers to what is in the boxes have been given away"
)]
pub(crate) struct Guest {
    pub store: Store<StoreLimits>,
    pub instance: Instance,
    /// The objects that have been given away; they live as long as the guest.
    given: Vec<Box<Function>>,
    memory: Option<Box<Of<Memory>>>,
    globals: Vec<Box<Of<Global>>>,
}

/// Something of a guest.
pub(crate) struct Of<T> {
    pub guest: *mut Guest,
    pub it: T,
}

/// `WasmEdge_FunctionInstanceContext`.
pub(crate) enum Function {
    Host {
        ty: FuncType,
        function: HostFunction,
        data: *mut c_void,
    },
    Guest(Of<wasmi::Func>),
}

impl Guest {
    pub fn new(store: Store<StoreLimits>, instance: Instance) -> Self {
        Self {
            store,
            instance,
            given: Vec::new(),
            memory: None,
            globals: Vec::new(),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceCreate(name: Text) -> *mut c_void {
    // SAFETY: the caller's text is readable until this function returns.
    let name = unsafe { name.as_str() }.to_owned();
    Box::into_raw(Box::new(ModuleInstance::Host(name, Vec::new()))).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceAddFunction(
    module: *mut c_void,
    name: Text,
    function: *mut c_void,
) {
    // SAFETY: the box of `WasmEdge_FunctionInstanceCreate`, which goes over to the module.
    let function = unsafe { Box::from_raw(function.cast::<Function>()) };
    // SAFETY: a module of `WasmEdge_ModuleInstanceCreate` that is not deleted; nobody else uses it meanwhile.
    if let ModuleInstance::Host(_, functions) = unsafe { &mut *module.cast::<ModuleInstance>() } {
        // SAFETY: the caller's text is readable until this function returns.
        functions.push((unsafe { name.as_str() }.to_owned(), function));
    }
}

/// The guest of a module; `None` for a module of the host.
///
/// # Safety
///
/// `module` is not deleted, and nothing else refers to it as long as the result is used.
unsafe fn guest<'a>(module: *mut c_void) -> Option<&'a mut Guest> {
    // SAFETY: the caller says that `module` is a box of this file that is not deleted, and that nothing else refers to it
    // as long as the result is used.
    match unsafe { &mut *module.cast::<ModuleInstance>() } {
        ModuleInstance::Guest(guest) => Some(guest),
        ModuleInstance::Host(..) => None,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceFindFunction(module: *mut c_void, name: Text) -> *mut c_void {
    // SAFETY: a module that is not deleted; nobody else uses it until this function returns.
    let Some(guest) = (unsafe { guest(module) }) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's text is readable until this function returns.
    let Some(it) = guest.instance.get_func(&guest.store, unsafe { name.as_str() }) else {
        return ptr::null_mut();
    };
    let mut function = Box::new(Function::Guest(Of { guest, it }));
    let pointer = ptr::from_mut(&mut *function).cast();
    guest.given.push(function);
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceFindMemory(module: *mut c_void, name: Text) -> *mut c_void {
    // SAFETY: a module that is not deleted; nobody else uses it until this function returns.
    let Some(guest) = (unsafe { guest(module) }) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's text is readable until this function returns.
    let Some(it) = guest.instance.get_memory(&guest.store, unsafe { name.as_str() }) else {
        return ptr::null_mut();
    };
    let of = Box::new(Of {
        guest: ptr::from_mut(guest),
        it,
    });
    ptr::from_mut(&mut **guest.memory.insert(of)).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceFindGlobal(module: *mut c_void, name: Text) -> *mut c_void {
    // SAFETY: a module that is not deleted; nobody else uses it until this function returns.
    let Some(guest) = (unsafe { guest(module) }) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's text is readable until this function returns.
    let Some(it) = guest.instance.get_global(&guest.store, unsafe { name.as_str() }) else {
        return ptr::null_mut();
    };
    let mut of = Box::new(Of {
        guest: ptr::from_mut(guest),
        it,
    });
    let pointer = ptr::from_mut(&mut *of).cast();
    guest.globals.push(of);
    pointer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_ModuleInstanceDelete(module: *mut c_void) {
    // SAFETY: the box of `WasmEdge_ModuleInstanceCreate` or `WasmEdge_ExecutorInstantiate`, which is deleted once.
    drop(unsafe { Box::from_raw(module.cast::<ModuleInstance>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_FunctionTypeCreate(
    params: *const Type,
    param_count: u32,
    results: *const Type,
    result_count: u32,
) -> *mut c_void {
    let types = |from: *const Type, count: u32| {
        // SAFETY: the caller gives so many types.
        (0..count as usize).map(move |index| unsafe { *from.add(index) }.wasmi())
    };
    let ty = FuncType::new(types(params, param_count), types(results, result_count));
    Box::into_raw(Box::new(ty)).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_FunctionTypeDelete(ty: *mut c_void) {
    // SAFETY: the box of `WasmEdge_FunctionTypeCreate`, which is deleted once.
    drop(unsafe { Box::from_raw(ty.cast::<FuncType>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_FunctionInstanceCreate(
    ty: *const c_void,
    function: HostFunction,
    data: *mut c_void,
    _: u64,
) -> *mut c_void {
    // SAFETY: a type of `WasmEdge_FunctionTypeCreate` that is not deleted.
    let ty = unsafe { &*ty.cast::<FuncType>() }.clone();
    Box::into_raw(Box::new(Function::Host { ty, function, data })).cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_MemoryInstanceGetPointer(
    memory: *mut c_void,
    offset: u64,
    length: u64,
) -> *mut u8 {
    // SAFETY: a memory of `WasmEdge_ModuleInstanceFindMemory`, whose guest is not deleted.
    let of = unsafe { &*memory.cast::<Of<Memory>>() };
    // SAFETY: the guest is alive, as what was found in it is, and no reference to its store is kept here.
    unsafe {
        with_context(of.guest, |mut context| {
            let bytes = match &mut context {
                Context::Store(store) => of.it.data_mut(&mut **store),
                Context::Caller(caller) => of.it.data_mut(&mut **caller),
            };
            let range = offset as usize..(offset + length) as usize;
            bytes.get_mut(range).map_or(ptr::null_mut(), <[u8]>::as_mut_ptr)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_MemoryInstanceGetPageSize(memory: *const c_void) -> u32 {
    // SAFETY: a memory of `WasmEdge_ModuleInstanceFindMemory`, whose guest is not deleted.
    let of = unsafe { &*memory.cast::<Of<Memory>>() };
    // SAFETY: the guest is alive, as what was found in it is, and no reference to its store is kept here.
    unsafe {
        with_context(of.guest, |context| match context {
            Context::Store(store) => of.it.size(&*store) as u32,
            Context::Caller(caller) => of.it.size(&*caller) as u32,
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_GlobalInstanceGetValue(global: *const c_void) -> Value {
    // SAFETY: a global of `WasmEdge_ModuleInstanceFindGlobal`, whose guest is not deleted.
    let of = unsafe { &*global.cast::<Of<Global>>() };
    // SAFETY: the guest is alive, as what was found in it is, and no reference to its store is kept here.
    unsafe {
        with_context(of.guest, |context| match context {
            Context::Store(store) => Value::of(&of.it.get(&*store)),
            Context::Caller(caller) => Value::of(&of.it.get(&*caller)),
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn WasmEdge_GlobalInstanceSetValue(global: *mut c_void, value: Value) -> Outcome {
    // SAFETY: a global of `WasmEdge_ModuleInstanceFindGlobal`, whose guest is not deleted.
    let of = unsafe { &*global.cast::<Of<Global>>() };
    // SAFETY: the guest is alive, as what was found in it is, and no reference to its store is kept here.
    let set = unsafe {
        with_context(of.guest, |context| match context {
            Context::Store(store) => of.it.set(store, value.wasmi()),
            Context::Caller(caller) => of.it.set(caller, value.wasmi()),
        })
    };
    if set.is_ok() {
        Outcome::SUCCESS
    } else {
        Outcome::FAIL
    }
}
