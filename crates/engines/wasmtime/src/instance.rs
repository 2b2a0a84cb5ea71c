//! An instance: a Wasmtime store with one module in it.

use wasmtime::{
    InstancePre, Memory, PoolConcurrencyLimitError, ResourceLimiter, Store, TypedFunc, UpdateDeadline, Val,
};
use weir_engine::{
    CpuBudget, Freezable, FuncId, HostState, Instance, InstantiateError, Limits, Signature, Trap,
};
use weir_engine_support as support;
use weir_engine_support::{
    Allocator, Deadline, Exports, MemoryGuard, PAGE, START_EXPORT, Verdict, wrong_arguments,
};

use crate::config::Interruption;
use crate::export::Export;
use crate::module::Form;
use crate::snapshot::{FILL, Freezer};
use crate::trap;

/// The contents of the store beside the instance.
pub(crate) struct Data {
    pub(crate) state: Box<dyn HostState>,
    /// The export `memory`, once it is known.
    pub(crate) memory: Option<Memory>,
    pub(crate) allocator: Allocator<TypedFunc<u32, u32>>,
    pub(crate) deadline: Deadline,
    pub(crate) memory_guard: Guard,
    interruption: Interruption,
    pub(crate) form: Form,
}

impl Data {
    /// True if the CPU budget is used up after a host function, which burns no fuel and sees no epoch.
    #[inline]
    pub(crate) fn took_too_long(&mut self) -> bool {
        self.deadline.poll() == Verdict::Expired
    }
}

/// Why there is no instance.
pub(crate) enum Failure {
    /// The pool is exhausted; the state comes back for another try.
    PoolFull(Box<dyn HostState>),
    Other(InstantiateError),
}

impl Failure {
    /// Why there is none, where no other try is made.
    pub(crate) fn into_error(self) -> InstantiateError {
        match self {
            Self::PoolFull(_) => InstantiateError::Other("no room for another instance".into()),
            Self::Other(error) => error,
        }
    }
}

pub(crate) struct WasmtimeInstance {
    store: Store<Data>,
    instance: wasmtime::Instance,
    exports: Exports<Export>,
    /// Set where the instance can be frozen.
    pub(crate) freezer: Option<Freezer>,
}

impl WasmtimeInstance {
    pub(crate) fn new(
        module: &InstancePre<Data>,
        state: Box<dyn HostState>,
        limits: &Limits,
        interruption: Interruption,
        form: Form,
    ) -> Result<Self, Failure> {
        let data = Data {
            state,
            memory: None,
            allocator: Allocator::Unset,
            deadline: Deadline::start(limits.start_budget),
            memory_guard: Guard(MemoryGuard::new(limits.memory)),
            interruption,
            form,
        };
        let mut store = Store::new(module.module().engine(), data);
        store.limiter(|data| &mut data.memory_guard);
        store.epoch_deadline_callback(|mut store| match store.data_mut().deadline.tick() {
            Verdict::Continue => Ok(UpdateDeadline::Continue(1)),
            Verdict::Expired => Ok(UpdateDeadline::Interrupt),
        });
        begin(&mut store, limits.start_budget);
        match module.instantiate(&mut store) {
            Ok(instance) => {
                let memory = instance.get_memory(&mut store, "memory");
                store.data_mut().memory = memory;
                Ok(Self {
                    store,
                    instance,
                    exports: Exports::new(),
                    freezer: None,
                })
            }
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                Err(Failure::PoolFull(store.into_data().state))
            }
            Err(error) => Err(Failure::Other(why(&error, store.data()))),
        }
    }

    /// Does for a rewritten module what instantiating does for others.
    pub(crate) fn fill_and_start(&mut self, budget: CpuBudget) -> Result<(), InstantiateError> {
        begin(&mut self.store, budget);
        for name in [FILL, START_EXPORT] {
            if let Ok(func) = self.instance.get_typed_func::<(), ()>(&mut self.store, name) {
                let done = func.call(&mut self.store, ());
                done.map_err(|error| why(&error, self.store.data()))?;
            }
        }
        Ok(())
    }

    /// The values of globals, by their names as exports.
    pub(crate) fn globals(&mut self, names: &[String]) -> Result<Vec<Val>, InstantiateError> {
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            let global = self.instance.get_global(&mut self.store, name);
            let global = global.ok_or_else(|| InstantiateError::Other(format!("{name} cannot be read")))?;
            values.push(global.get(&mut self.store));
        }
        Ok(values)
    }

    /// Continues from a snapshot of so many bytes of memory, which are here already, with these globals.
    pub(crate) fn restore<'a>(
        &mut self,
        size: usize,
        globals: impl Iterator<Item = (&'a String, &'a Val)>,
    ) -> Result<(), InstantiateError> {
        if let Some(memory) = self.store.data().memory {
            let at_start = usize::try_from(memory.ty(&self.store).minimum()).unwrap_or(usize::MAX);
            let guard = &mut self.store.data_mut().memory_guard.0;
            if !guard.grow_memory(at_start.saturating_mul(PAGE), size) {
                return Err(InstantiateError::Memory {
                    needed: size,
                    limit: guard.limit(),
                });
            }
        }
        for (name, value) in globals {
            let global = self.instance.get_global(&mut self.store, name);
            let set = global.map(|global| global.set(&mut self.store, *value));
            if !matches!(set, Some(Ok(()))) {
                return Err(InstantiateError::Other(format!("{name} cannot be set")));
            }
        }
        Ok(())
    }
}

/// The guest is about to run, for as long as `budget` says.
#[inline]
fn begin(store: &mut Store<Data>, budget: CpuBudget) {
    let data = store.data_mut();
    data.deadline = Deadline::start(budget);
    match data.interruption.fuel(budget) {
        None => store.set_epoch_deadline(1),
        Some(fuel) => {
            // The engine counts fuel, so this cannot fail.
            let _ = store.set_fuel(fuel);
        }
    }
}

fn why(error: &wasmtime::Error, data: &Data) -> InstantiateError {
    let guard = &data.memory_guard.0;
    // Only running code traps, and at this point only the start section (or a data segment that does not fit) can.
    if trap::is_trap(error) {
        return InstantiateError::Start(trap::of(error, data));
    }
    guard.why_not(format!("{error:#}"))
}

impl Instance for WasmtimeInstance {
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        let func = self.instance.get_func(&mut self.store, name)?;
        let func = Export::new(&func, &self.store, signature)?;
        self.exports.add(support::Export::new(func, signature))
    }

    fn set_allocator(&mut self, func: FuncId) {
        let typed = match self.exports.allocator(func) {
            Some(Export::R1(func)) => func.func().typed(&self.store).ok(),
            _ => None,
        };
        self.store.data_mut().allocator = Allocator::of(typed);
    }

    fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        let export = self.exports.get(func, args)?;
        begin(&mut self.store, budget);
        match export.func.call(&mut self.store, args) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(trap::of(&error, self.store.data())),
            None => Err(wrong_arguments()),
        }
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.store.data_mut().state
    }

    fn memory_size(&self) -> usize {
        self.store
            .data()
            .memory
            .map_or(0, |memory| memory.data_size(&self.store))
    }

    fn into_freezable(mut self: Box<Self>) -> Option<Box<dyn Freezable>> {
        let freezer = self.freezer.take()?;
        Some(freezer.freezable(*self))
    }
}

/// The memory limit as Wasmtime asks for it.
pub(crate) struct Guard(pub(crate) MemoryGuard);

impl ResourceLimiter for Guard {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.0.grow_memory(current, desired))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a guest's memory did not grow: {error:#}");
        self.0.grow_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.0.grow_table(current, desired))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a guest's table did not grow: {error:#}");
        self.0.grow_failed();
        Ok(())
    }
}
