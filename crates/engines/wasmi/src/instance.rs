//! Modules and instances: a wasmi store with one module in it.

use wasmi::errors::{MemoryError, TableError};
use wasmi::{Linker, Memory, ResourceLimiter, Store, TypedFunc};
use wasmi_core::LimiterError;
use weir_engine::{
    CpuBudget, FuncId, HostState, Instance, InstantiateError, Limits, Module, Signature, Trap,
};
use weir_engine_support as support;
use weir_engine_support::{Allocator, Deadline, Ended, Exports, MemoryGuard, Verdict, wrong_arguments};

use crate::export::Export;
use crate::run::{SLICE, refuel};
use crate::trap;

/// Fuel that stands for a millisecond of CPU time in the wasm start section, the only code that wasmi cannot resume
/// after it ran out of fuel. An optimised build interprets 200 to 300 instructions a microsecond on the machines this
/// was measured on; a slower one lets the start section run longer than its budget, never for ever.
const START_FUEL_PER_MILLISECOND: u64 = 200_000;

/// The contents of the store beside the instance.
pub(crate) struct Data {
    pub(crate) state: Box<dyn HostState>,
    /// The export `memory`, once it is known.
    pub(crate) memory: Option<Memory>,
    pub(crate) allocator: Allocator<TypedFunc<u32, u32>>,
    deadline: Deadline,
    pub(crate) memory_guard: Guard,
    /// A panic of a host function on its way out. Traps go through wasmi.
    pub(crate) ended: Ended,
}

impl Data {
    fn begin(&mut self, budget: CpuBudget) {
        self.deadline = Deadline::start(budget);
    }

    /// Returns true if the guest has used up its budget. Asks the clock, which costs a system call.
    pub(crate) fn tick(&mut self) -> bool {
        self.deadline.tick() == Verdict::Expired
    }

    /// The same after a host function, which may have taken long while it burnt no fuel: asks the clock only when the
    /// ticker has beaten since.
    pub(crate) fn expired(&mut self) -> bool {
        self.deadline.poll() == Verdict::Expired
    }
}

pub(crate) struct WasmiModule {
    pub(crate) module: wasmi::Module,
    pub(crate) linker: Linker<Data>,
}

impl Module for WasmiModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let data = Data {
            state,
            memory: None,
            allocator: Allocator::Unset,
            deadline: Deadline::start(limits.start_budget),
            memory_guard: Guard {
                guard: MemoryGuard::new(limits.memory),
                running: false,
            },
            ended: Ended::default(),
        };
        let mut store = Store::new(self.linker.engine(), data);
        store.limiter(|data| &mut data.memory_guard);
        let milliseconds = u64::try_from(limits.start_budget.0.as_millis()).unwrap_or(u64::MAX);
        refuel(
            &mut store,
            milliseconds.saturating_mul(START_FUEL_PER_MILLISECOND),
        );
        match self.linker.instantiate_and_start(&mut store, &self.module) {
            Ok(instance) => {
                let memory = instance.get_memory(&store, "memory");
                let data = store.data_mut();
                data.memory = memory;
                data.memory_guard.running = true;
                Ok(Box::new(WasmiInstance {
                    store,
                    instance,
                    exports: Exports::new(),
                }))
            }
            Err(error) => {
                store.data_mut().ended.resume_panic();
                Err(why(&error, &store.data().memory_guard.guard))
            }
        }
    }
}

fn why(error: &wasmi::Error, guard: &MemoryGuard) -> InstantiateError {
    // Only running code traps, and at this point only the start section (or a data segment that does not fit) can.
    if trap::is_trap(error) {
        return InstantiateError::Start(trap::of(error, guard));
    }
    guard.why_not(error.to_string())
}

struct WasmiInstance {
    store: Store<Data>,
    instance: wasmi::Instance,
    exports: Exports<Export>,
}

impl Instance for WasmiInstance {
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        let func = self.instance.get_func(&self.store, name)?;
        let func = Export::new(func, &self.store, signature)?;
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
        let export = self.exports.get(func, args)?.func;
        self.store.data_mut().begin(budget);
        refuel(&mut self.store, SLICE);
        export
            .call(&mut self.store, args)
            .unwrap_or_else(|| Err(wrong_arguments()))
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
}

/// The memory limit as wasmi asks for it.
pub(crate) struct Guard {
    pub(crate) guard: MemoryGuard,
    /// The start section has ended.
    running: bool,
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> Result<bool, LimiterError> {
        Ok(self.guard.grow_memory(current, desired))
    }

    fn memory_grow_failed(&mut self, _: &MemoryError) -> Result<(), LimiterError> {
        self.guard.grow_failed();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> Result<bool, LimiterError> {
        // wasmi 2.0 does not note where it is when `table.grow` runs out of fuel, so such a call cannot be resumed. The
        // specification lets `table.grow` fail at any time, and here it always does.
        Ok(!self.running && self.guard.grow_table(current, desired))
    }

    fn table_grow_failed(&mut self, _: &TableError) -> Result<(), LimiterError> {
        self.guard.grow_failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        // Validation bounds their number, the guard their elements.
        usize::MAX
    }

    fn memories(&self) -> usize {
        1
    }
}
