//! An instance: WAMR's, with its execution environment and our data.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use wamrx_sys::{
    InstantiationArgs2, wasm_exec_env_t, wasm_function_inst_t, wasm_global_inst_t, wasm_module_inst_t,
    wasm_runtime_call_wasm, wasm_runtime_create_exec_env, wasm_runtime_deinstantiate,
    wasm_runtime_destroy_exec_env, wasm_runtime_get_export_global_inst, wasm_runtime_instantiate_ex2,
    wasm_runtime_instantiation_args_create, wasm_runtime_instantiation_args_destroy,
    wasm_runtime_instantiation_args_set_custom_data, wasm_runtime_instantiation_args_set_default_stack_size,
    wasm_runtime_instantiation_args_set_max_memory_pages, wasm_runtime_lookup_function,
    wasm_runtime_lookup_memory, wasm_runtime_set_native_stack_boundary,
};
use weir_engine::{
    CpuBudget, FuncId, HostState, Instance, InstantiateError, Limits, STACK_LIMIT, Signature, Trap, TrapKind,
};
use weir_engine_support::{
    Allocator, Ended, Export, Exports, FUEL, GuestFault, MAX_ARGUMENTS, MemoryGuard, PAGE, Pace,
    START_EXPORT, wrong_arguments,
};

use crate::data::Data;
use crate::module::{Loaded, Message, text};
use crate::trap;
use crate::watch::Watch;

/// The type of the start function.
const NOTHING: Signature = Signature {
    params: &[],
    result: None,
};

pub(crate) struct WamrInstance {
    /// From a box; freed after the instance, which points to it.
    data: NonNull<Data>,
    instance: wasm_module_inst_t,
    env: wasm_exec_env_t,
    watch: Option<Arc<Watch>>,
    /// The budget that compiled code has left; null for the interpreter.
    fuel: *mut i64,
    exports: Exports<wasm_function_inst_t>,
}

// SAFETY: all of it belongs to this value alone. WAMR notes at each call which thread makes it.
unsafe impl Send for WamrInstance {}

impl WamrInstance {
    pub fn new(
        module: Arc<Loaded>,
        state: Box<dyn HostState>,
        guard: MemoryGuard,
        limits: &Limits,
    ) -> Result<Self, InstantiateError> {
        let (has_start, shows_memory, max_pages) = (module.has_start, module.shows_memory, module.max_pages);
        let is_compiled = module.is_compiled;
        let raw = module.raw;
        let data = NonNull::from(Box::leak(Box::new(Data {
            state,
            module,
            memory: ptr::null_mut(),
            allocator: Allocator::Unset,
            guard,
            ended: Ended::default(),
        })));
        // From here on the value frees what there is.
        let mut new = Self {
            data,
            instance: ptr::null_mut(),
            env: ptr::null_mut(),
            watch: None,
            fuel: ptr::null_mut(),
            exports: Exports::new(),
        };
        let pages = (limits.memory / PAGE) as u64;
        let pages = u32::try_from(pages.min(max_pages.unwrap_or(u64::MAX))).unwrap_or(u32::MAX);
        // None would be no limit to WAMR. The host's limit is a page at least.
        let pages = pages.max(1);
        let mut message: Message = [0; 256];
        let arguments = Arguments::new(data, pages, stack_size(is_compiled))
            .ok_or_else(|| InstantiateError::Other("no memory for another instance".to_owned()))?;
        // SAFETY: the module is alive as long as the data; the message has room for what is said.
        new.instance = unsafe {
            wasm_runtime_instantiate_ex2(raw, arguments.0, message.as_mut_ptr(), message.len() as u32)
        };
        if new.instance.is_null() {
            return Err(refused(&text(&message)));
        }
        // SAFETY: the instance is alive, and no guest runs.
        unsafe {
            // WAMR gives the memory whatever its name is.
            if shows_memory {
                new.data.as_mut().memory = wasm_runtime_lookup_memory(new.instance, c"memory".as_ptr());
            }
            new.env = wasm_runtime_create_exec_env(new.instance, stack_size(is_compiled));
        }
        if new.env.is_null() {
            return Err(InstantiateError::Other(
                "no memory for the guest's stack".to_owned(),
            ));
        }
        if is_compiled {
            new.fuel = new.find_fuel().ok_or_else(|| {
                InstantiateError::Other("the code does not count what it executes".to_owned())
            })?;
        }
        new.watch = Some(Watch::start(new.instance));
        if has_start && let Some(start) = new.lookup(START_EXPORT) {
            let export = Export::new(start, NOTHING);
            new.enter(export, &[], limits.start_budget)
                .map_err(InstantiateError::Start)?;
        }
        Ok(new)
    }

    fn lookup(&self, name: &str) -> Option<wasm_function_inst_t> {
        let name = CString::new(name).ok()?;
        // SAFETY: the instance is alive; the text is read here alone.
        let func = unsafe { wasm_runtime_lookup_function(self.instance, name.as_ptr()) };
        (!func.is_null()).then_some(func)
    }

    fn find_fuel(&self) -> Option<*mut i64> {
        let name = CString::new(FUEL).ok()?;
        let mut global = wasm_global_inst_t::default();
        // SAFETY: the instance is alive; the text is read here alone, and the value written to.
        let found = unsafe { wasm_runtime_get_export_global_inst(self.instance, name.as_ptr(), &mut global) };
        let is_ours = found && u32::from(global.kind) == wamrx_sys::WASM_I64 && global.is_mutable;
        is_ours.then_some(global.global_data.cast())
    }

    /// The guest is about to run compiled code, for as long as `budget` says, on this thread's stack.
    #[inline]
    fn set_bounds_of_code(&mut self, budget: CpuBudget) {
        let here = ptr::from_ref(&budget).addr();
        let lowest = ptr::without_provenance_mut(here.saturating_sub(STACK_LIMIT));
        // SAFETY: the global lies in the instance, which is alive, and no guest runs. The address is compared with the
        // stack's and not followed.
        unsafe {
            self.fuel.write_unaligned(Pace::Compiled.units(budget));
            wasm_runtime_set_native_stack_boundary(self.env, lowest);
        }
    }

    /// Returns true if compiled code has spent its budget.
    fn has_spent_all(&self) -> bool {
        // SAFETY: the global is null or lies in the instance, which is alive, and no guest runs.
        !self.fuel.is_null() && unsafe { self.fuel.read_unaligned() } < 0
    }

    /// Calls an export with as many arguments as it takes.
    fn enter(
        &mut self,
        export: Export<wasm_function_inst_t>,
        args: &[u32],
        budget: CpuBudget,
    ) -> Result<u32, Trap> {
        let mut slots = [0; MAX_ARGUMENTS];
        let room = slots.get_mut(..args.len()).ok_or_else(wrong_arguments)?;
        room.copy_from_slice(args);
        if !self.fuel.is_null() {
            self.set_bounds_of_code(budget);
        }
        let Some(watch) = &self.watch else {
            return Err(Trap::host("the instance is not ready"));
        };
        watch.enter(budget);
        // SAFETY: a function of this instance, with so many `i32` as arguments and one or none as result, for which there
        // is room. No borrow of the data is alive.
        let done =
            unsafe { wasm_runtime_call_wasm(self.env, export.func, args.len() as u32, slots.as_mut_ptr()) };
        let terminated = watch.exit();
        // SAFETY: the guest does not run any more.
        let data = unsafe { self.data.as_mut() };
        data.ended.resume_panic();
        if terminated || (!done && self.has_spent_all()) {
            return Err(Trap::new(TrapKind::Deadline));
        }
        if !done {
            return Err(trap::take(self.instance, data));
        }
        Ok(if export.has_result { slots[0] } else { 0 })
    }
}

/// Why there is no instance, in WAMR's words.
fn refused(message: &str) -> InstantiateError {
    match message {
        text if text.contains("data segment") || text.contains("out of bounds memory access") => {
            GuestFault::MemoryOutOfBounds.at_start()
        }
        text if text.contains("elements segment") || text.contains("out of bounds table access") => {
            GuestFault::TableOutOfBounds.at_start()
        }
        _ => InstantiateError::Other(message.to_owned()),
    }
}

impl Instance for WamrInstance {
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        // SAFETY: no guest runs.
        if !unsafe { self.data.as_ref() }.module.exports.has(name, signature) {
            return None;
        }
        let func = self.lookup(name)?;
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
        unsafe { Data::bytes(self.data.as_ref().memory) }.len()
    }
}

impl Drop for WamrInstance {
    fn drop(&mut self) {
        // No guest runs, so the ticker leaves the instance alone.
        self.watch = None;
        // SAFETY: made in `new`, in the reverse order; what was not made is null. The data goes last.
        unsafe {
            if !self.env.is_null() {
                wasm_runtime_destroy_exec_env(self.env);
            }
            if !self.instance.is_null() {
                wasm_runtime_deinstantiate(self.instance);
            }
            drop(Box::from_raw(self.data.as_ptr()));
        }
    }
}

/// Stack of a guest that is interpreted. It lies on the heap, so that no thread's stack bounds it; WAMR allocates and clears
/// all of it with the VM. The interpreter keeps each local and each operand of a function in its frame, where compiled code
/// has registers: a guest that fits into [`STACK_LIMIT`] when compiled needs several times as much here.
const INTERPRETER_STACK: u32 = 2 << 20;

/// The stack that WAMR allocates for a guest. Compiled code has the thread's own, see [`WamrInstance::set_bounds_of_code`].
fn stack_size(is_compiled: bool) -> u32 {
    if is_compiled {
        STACK_LIMIT as u32
    } else {
        INTERPRETER_STACK
    }
}

/// The arguments of WAMR's instantiation.
struct Arguments(*mut InstantiationArgs2);

impl Arguments {
    fn new(data: NonNull<Data>, pages: u32, stack: u32) -> Option<Self> {
        let mut arguments = ptr::null_mut();
        // SAFETY: the arguments are made before they are written to.
        unsafe {
            if !wasm_runtime_instantiation_args_create(&mut arguments) {
                return None;
            }
            wasm_runtime_instantiation_args_set_default_stack_size(arguments, stack);
            wasm_runtime_instantiation_args_set_max_memory_pages(arguments, pages);
            wasm_runtime_instantiation_args_set_custom_data(arguments, data.as_ptr().cast());
        }
        Some(Self(arguments))
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { wasm_runtime_instantiation_args_destroy(self.0) };
    }
}
