//! An instance: WasmEdge's, with an executor of its own and our data.

use std::ptr::{self, NonNull};
use std::sync::Arc;

use weir_engine::{
    CpuBudget, FuncId, HostFunc, HostState, Instance, InstantiateError, Limits, Signature, Trap, TrapKind,
    ValType,
};
use weir_engine_support::{
    Allocator, DEPTH, Deadline, Ended, Export, Exports, FUEL, MAX_ARGUMENTS, MAX_DEPTH, MemoryGuard, PAGE,
    Pace, START_EXPORT, wrong_arguments,
};

use crate::caller;
use crate::data::{Data, Import};
use crate::library::{
    Executor, Function, Global, Library, ModuleInstance, SUCCESS, Store, Type, Value, text,
};
use crate::module::{Loaded, Settings};
use crate::prepare::HOST;
use crate::trap;

/// The type of the start function.
const NOTHING: Signature = Signature {
    params: &[],
    result: None,
};

pub(crate) struct WasmEdgeInstance {
    library: &'static Library,
    /// From a box; freed after the instance, whose host functions point to it.
    data: NonNull<Data>,
    /// As the data; never moved.
    imports: Box<[Import]>,
    executor: *mut Executor,
    store: *mut Store,
    host: *mut ModuleInstance,
    instance: *mut ModuleInstance,
    fuel: *mut Global,
    depth: *mut Global,
    exports: Exports<*mut Function>,
}

// SAFETY: all of it belongs to this value alone, and no thread is noted in it.
unsafe impl Send for WasmEdgeInstance {}

impl WasmEdgeInstance {
    pub fn new(
        module: &Arc<Loaded>,
        state: Box<dyn HostState>,
        guard: MemoryGuard,
        limits: &Limits,
    ) -> Result<Self, InstantiateError> {
        let library = module.library;
        let data = NonNull::from(Box::leak(Box::new(Data {
            state,
            module: Arc::clone(module),
            executor: ptr::null_mut(),
            memory: ptr::null_mut(),
            allocator: Allocator::Unset,
            guard,
            deadline: Deadline::start(limits.start_budget),
            ended: Ended::default(),
        })));
        let imports = module.funcs.iter().map(|func| Import { data, func });
        // From here on the value frees what there is.
        let mut new = Self {
            library,
            data,
            imports: imports.collect(),
            executor: ptr::null_mut(),
            store: ptr::null_mut(),
            host: ptr::null_mut(),
            instance: ptr::null_mut(),
            fuel: ptr::null_mut(),
            depth: ptr::null_mut(),
            exports: Exports::new(),
        };
        new.instantiate(module, limits)?;
        if module.has_start {
            let start = new.find(START_EXPORT);
            if start.is_null() {
                return Err(InstantiateError::Other("the start function is lost".to_owned()));
            }
            let export = Export::new(start, NOTHING);
            new.enter(export, &[], limits.start_budget)
                .map_err(InstantiateError::Start)?;
        }
        Ok(new)
    }

    fn instantiate(&mut self, module: &Loaded, limits: &Limits) -> Result<(), InstantiateError> {
        let library = self.library;
        let no_room = || InstantiateError::Other("no memory for another instance".to_owned());
        let settings = Settings::new(library);
        // No memory has more.
        let pages = (limits.memory / PAGE).min(65536) as u64;
        // SAFETY: what is made belongs to `self`, which deletes it; the settings live longer than the executor is being made.
        unsafe {
            (library.configure_set_max_memory_page)(settings.1, pages);
            self.executor = (library.executor_create)(settings.1, ptr::null_mut());
            self.store = (library.store_create)();
            self.host = (library.module_create)(text(HOST));
        }
        if self.executor.is_null() || self.store.is_null() || self.host.is_null() {
            return Err(no_room());
        }
        for (number, import) in self.imports.iter().enumerate() {
            let func = host_function(library, import).ok_or_else(no_room)?;
            // SAFETY: the function goes over to the module; the name is copied.
            unsafe { (library.module_add_function)(self.host, text(&number.to_string()), func) };
        }
        // SAFETY: all of it was made above, and lives as long as the instance.
        let outcome = unsafe {
            let registered = (library.executor_register)(self.executor, self.store, self.host);
            if registered == SUCCESS {
                (library.executor_instantiate)(self.executor, &mut self.instance, self.store, module.ast)
            } else {
                registered
            }
        };
        if outcome != SUCCESS || self.instance.is_null() {
            return Err(trap::refused(library.text_of(outcome)));
        }
        // SAFETY: the instance is alive, and no guest runs.
        unsafe {
            self.data.as_mut().executor = self.executor;
            if module.shows_memory {
                self.data.as_mut().memory = (library.module_find_memory)(self.instance, text("memory"));
            }
            self.fuel = (library.module_find_global)(self.instance, text(FUEL));
            self.depth = (library.module_find_global)(self.instance, text(DEPTH));
        }
        if self.fuel.is_null() || self.depth.is_null() {
            return Err(InstantiateError::Other(
                "the module does not count what it executes".to_owned(),
            ));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> *mut Function {
        // SAFETY: the instance is alive; the text is read here alone.
        unsafe { (self.library.module_find_function)(self.instance, text(name)) }
    }

    /// Calls an export with as many arguments as it takes.
    fn enter(&mut self, export: Export<*mut Function>, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        let library = self.library;
        let zero = Value {
            bits: [0; 2],
            ty: library.i32,
        };
        let mut params = [zero; MAX_ARGUMENTS];
        if args.len() > MAX_ARGUMENTS {
            return Err(wrong_arguments());
        }
        for (param, arg) in params.iter_mut().zip(args) {
            param.bits[0] = u64::from(*arg);
        }
        let mut result = zero;
        // SAFETY: globals and data of this instance, whose guest does not run.
        unsafe {
            self.data.as_mut().deadline = Deadline::start(budget);
            let fuel = Value {
                bits: [Pace::Interpreted.units(budget).cast_unsigned(), 0],
                ty: library.i64,
            };
            (library.global_set)(self.fuel, fuel);
            (library.global_set)(self.depth, zero);
        }
        let (count, results) = (args.len() as u32, u32::from(export.has_result));
        // SAFETY: a function of this instance, with so many `i32` as arguments and one or none as result. No borrow of the
        // data is alive.
        let outcome = unsafe {
            (library.executor_invoke)(
                self.executor,
                export.func,
                params.as_ptr(),
                count,
                &mut result,
                results,
            )
        };
        // SAFETY: the guest does not run any more.
        let data = unsafe { self.data.as_mut() };
        data.ended.resume_panic();
        if outcome == SUCCESS {
            return Ok(if export.has_result {
                result.bits[0] as u32
            } else {
                0
            });
        }
        // SAFETY: globals of this instance, whose guest does not run any more.
        let (fuel, depth) = unsafe { ((library.global_get)(self.fuel), (library.global_get)(self.depth)) };
        let bound = if fuel.bits[0].cast_signed() < 0 {
            Some(TrapKind::Deadline)
        } else if depth.bits[0] as u32 > MAX_DEPTH {
            Some(TrapKind::StackOverflow)
        } else {
            None
        };
        match bound {
            Some(kind) => {
                data.ended.take_trap();
                Err(Trap::new(kind))
            }
            None => Err(trap::take(outcome, data)),
        }
    }
}

/// A host function for one instance; `None` where there is no memory.
fn host_function(library: &Library, import: &Import) -> Option<*mut Function> {
    let HostFunc { signature, .. } = import.func;
    let ty = |ty: &ValType| match ty {
        ValType::I32 => library.i32,
        ValType::I64 => library.i64,
    };
    let params: Vec<Type> = signature.params.iter().map(ty).collect();
    let results: Vec<Type> = signature.result.iter().map(ty).collect();
    let (count, result_count) = (params.len() as u32, results.len() as u32);
    // SAFETY: the types are copied. The import lives as long as the instance, and lies where it is.
    let func = unsafe {
        let ty = (library.type_create)(params.as_ptr(), count, results.as_ptr(), result_count);
        let func = (library.function_create)(ty, caller::call, ptr::from_ref(import).cast_mut().cast(), 0);
        (library.type_delete)(ty);
        func
    };
    (!func.is_null()).then_some(func)
}

impl Instance for WasmEdgeInstance {
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        // SAFETY: no guest runs.
        if !unsafe { self.data.as_ref() }.module.exports.has(name, signature) {
            return None;
        }
        let func = self.find(name);
        if func.is_null() {
            return None;
        }
        self.exports.add(Export::new(func, signature))
    }

    fn set_allocator(&mut self, func: FuncId) {
        let allocator = Allocator::of(self.exports.allocator(func).copied());
        // SAFETY: no guest runs.
        unsafe { self.data.as_mut() }.allocator = allocator;
    }

    fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        let export = *self.exports.get(func, args)?;
        self.enter(export, args, budget)
    }

    fn state(&mut self) -> &mut dyn HostState {
        // SAFETY: no guest runs.
        &mut *unsafe { self.data.as_mut() }.state
    }

    fn memory_size(&self) -> usize {
        // SAFETY: no guest runs, and the slice is not kept.
        unsafe {
            let data = self.data.as_ref();
            Data::bytes(&data.module, data.memory)
        }
        .len()
    }
}

impl Drop for WasmEdgeInstance {
    fn drop(&mut self) {
        let library = self.library;
        // SAFETY: made in `instantiate`, in the reverse order; what was not made is null. The data goes last.
        unsafe {
            if !self.instance.is_null() {
                (library.module_delete)(self.instance);
            }
            if !self.host.is_null() {
                (library.module_delete)(self.host);
            }
            if !self.store.is_null() {
                (library.store_delete)(self.store);
            }
            if !self.executor.is_null() {
                (library.executor_delete)(self.executor);
            }
            drop(Box::from_raw(self.data.as_ptr()));
        }
    }
}
