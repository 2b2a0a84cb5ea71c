//! Settings, and the Wasmtime engines made from them.

use std::sync::OnceLock;

use wasmtime::{
    Config, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel, PoolingAllocationConfig,
    ProfilingStrategy, Strategy, WasmBacktraceDetails,
};
use weir_engine::{CompileError, CpuBudget, DEFAULT_MEMORY_LIMIT, STACK_LIMIT};
use weir_engine_support::Ticker;

use crate::snapshot;

/// Wasmtime's version.
macro_rules! wasmtime_version {
    () => {
        "48.0.8"
    };
}

pub(crate) const VERSION: &str = wasmtime_version!();

/// Address space that each linear memory reserves, so that generated code needs no bounds checks: all that 32 bits
/// can address. Wasmtime adds guard pages.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// The same where address space is scarce: most filters never need more, and those that do have their memory moved.
const LITTLE_RESERVATION: u64 = 16 << 20;

/// Guard pages where address space is scarce: a page of WebAssembly, enough for the offsets of most accesses.
const LITTLE_GUARD: u64 = 64 << 10;

/// The mark that precompiled code must carry to be loaded. Wasmtime by itself compares the major version only; a patch
/// release that mends the code generator must not run the code of the one before.
pub(crate) const CODE_VERSION: &str = concat!(
    "weir ",
    env!("CARGO_PKG_VERSION"),
    ", wasmtime ",
    wasmtime_version!()
);

/// Elements of a pooled table; a module with larger tables runs outside of the pool.
const POOLED_TABLE_ELEMENTS: usize = 1 << 16;

/// Tables of a pooled module; a second one appears with reference types.
const POOLED_TABLES: u32 = 2;

/// Fuel that stands for a millisecond of CPU time: an instruction of WebAssembly takes one, mostly. Compiled code executes
/// some two million in a millisecond on the machines that this was measured on.
const FUEL_PER_MILLISECOND: u64 = 2_000_000;

/// The means by which a guest is stopped that has used up its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interruption {
    /// By the CPU time of the thread, looked at when the ticker beats. Costs a comparison for each loop and function.
    #[default]
    Epochs,
    /// By the instructions that it has executed, so that it ends at the same one each time, whatever the machine. Costs an
    /// addition for each block of code. The budget's CPU time is converted; after a host function it is looked at as well.
    Fuel,
}

impl Interruption {
    /// The fuel of a budget; `None` where fuel is not counted.
    pub(crate) fn fuel(self, budget: CpuBudget) -> Option<u64> {
        let milliseconds = u64::try_from(budget.0.as_millis()).unwrap_or(u64::MAX);
        // A budget below a millisecond is one.
        (self == Self::Fuel).then(|| milliseconds.max(1).saturating_mul(FUEL_PER_MILLISECOND))
    }
}

/// Address space for linear memories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressSpace {
    /// Each memory reserves 4 GiB, and code needs no bounds checks.
    #[default]
    Ample,
    /// Each memory reserves 16 MiB and is moved when it outgrows them; code checks bounds. There is no pool, and there are
    /// no snapshots. For processes under `ulimit -v`.
    Scarce,
}

impl AddressSpace {
    /// The one for a process that may have this many bytes of addresses (`RLIMIT_AS`), with a pool of this size.
    pub fn under(limit: Option<u64>, pool_slots: u32) -> Self {
        let ample = MEMORY_RESERVATION
            .saturating_mul(u64::from(pool_slots).max(1))
            .saturating_mul(2);
        match limit {
            Some(limit) if limit < ample => Self::Scarce,
            _ => Self::Ample,
        }
    }
}

/// The means by which a profiler sees guest code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profiler {
    /// Not at all.
    #[default]
    None,
    /// `/tmp/perf-PID.map`, for `perf report`.
    PerfMap,
    /// A `jit-PID.dump` in the working directory, for `perf inject --jit`.
    JitDump,
}

/// Settings of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasmtimeConfig {
    /// Instances that the pool holds, all modules and threads together; 0 does without a pool. Each reserves some
    /// 4 GiB of address space, which costs no memory. Instances beyond the pool are allocated singly.
    pub pool_slots: u32,
    /// Bytes of linear memory that a pooled instance may grow to; an instance with a higher limit is allocated singly.
    pub pool_memory: usize,
    /// Address space for linear memories.
    pub address_space: AddressSpace,
    /// The means by which a guest is stopped.
    pub interruption: Interruption,
    /// Visibility to a profiler.
    pub profiler: Profiler,
    /// Translates the modules' DWARF for native debuggers. Slows compilation.
    pub debug_info: bool,
}

impl Default for WasmtimeConfig {
    fn default() -> Self {
        // 128 VMs are 16 workers with 8 filters each, and reserve half a TiB of the 128 TiB that a process has.
        Self {
            pool_slots: 128,
            pool_memory: DEFAULT_MEMORY_LIMIT,
            address_space: AddressSpace::Ample,
            interruption: Interruption::Epochs,
            profiler: Profiler::None,
            debug_info: false,
        }
    }
}

/// Words of [`WasmtimeConfig::code_settings`].
const FUEL: &str = "fuel";
const DEBUG_INFO: &str = "debug-info";
const SCARCE: &str = "scarce";

impl WasmtimeConfig {
    /// The settings that code depends on, as text for another process to compile with. The rest has no say in it.
    pub fn code_settings(&self) -> String {
        let words = [
            (self.interruption == Interruption::Fuel, FUEL),
            (self.debug_info, DEBUG_INFO),
            (self.address_space == AddressSpace::Scarce, SCARCE),
        ];
        let words: Vec<_> = words
            .into_iter()
            .filter_map(|(is_on, word)| is_on.then_some(word))
            .collect();
        words.join(",")
    }

    /// Settings to compile with and not to run guests: those that [`WasmtimeConfig::code_settings`] gave as text. `None` for
    /// other text.
    pub fn for_code(settings: &str) -> Option<Self> {
        let mut config = Self {
            pool_slots: 0,
            ..Self::default()
        };
        for word in settings.split(',').filter(|word| !word.is_empty()) {
            match word {
                FUEL => config.interruption = Interruption::Fuel,
                DEBUG_INFO => config.debug_info = true,
                SCARCE => config.address_space = AddressSpace::Scarce,
                _ => return None,
            }
        }
        Some(config)
    }

    /// Settings of Wasmtime without the allocation strategy, which does not influence the generated code.
    fn base(&self) -> Result<Config, CompileError> {
        let mut config = Config::new();
        config
            .strategy(Strategy::Cranelift)
            .cranelift_opt_level(OptLevel::Speed)
            .epoch_interruption(self.interruption == Interruption::Epochs)
            .consume_fuel(self.interruption == Interruption::Fuel)
            .max_wasm_stack(STACK_LIMIT)
            .memory_reservation(MEMORY_RESERVATION)
            // Function names and offsets come without it; lines of source would be parsed at every trap.
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .debug_info(self.debug_info)
            .profiler(match self.profiler {
                Profiler::None => ProfilingStrategy::None,
                Profiler::PerfMap => ProfilingStrategy::PerfMap,
                Profiler::JitDump => ProfilingStrategy::JitDump,
            })
            // Features that no Proxy-Wasm guest uses are surface without a purpose. Threads, exceptions, GC and function
            // references are not even built in; SIMD, bulk memory, reference types, multiple values and tail calls stay.
            .wasm_multi_memory(false)
            .wasm_memory64(false)
            .wasm_custom_page_sizes(false)
            .wasm_wide_arithmetic(false);
        if self.address_space == AddressSpace::Scarce {
            config
                .memory_reservation(LITTLE_RESERVATION)
                .memory_reservation_for_growth(LITTLE_RESERVATION)
                .memory_guard_size(LITTLE_GUARD)
                .memory_may_move(true);
        }
        config
            .module_version(ModuleVersionStrategy::Custom(CODE_VERSION.into()))
            .map_err(|error| refused(&error))?;
        Ok(config)
    }

    fn pool(&self) -> PoolingAllocationConfig {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(self.pool_slots)
            .total_memories(self.pool_slots)
            .total_tables(self.pool_slots.saturating_mul(POOLED_TABLES))
            .max_tables_per_module(POOLED_TABLES)
            .table_elements(POOLED_TABLE_ELEMENTS)
            .max_memory_size(self.pool_memory);
        pool
    }
}

/// A pool, what serves where there is none, where it is full or too small, and what snapshots use. Code of one runs on
/// the others.
pub(crate) struct Engines {
    pub(crate) pooled: Option<wasmtime::Engine>,
    pub(crate) on_demand: wasmtime::Engine,
    /// Bytes that a pooled instance may grow to.
    pub(crate) pool_memory: usize,
    pub(crate) interruption: Interruption,
    /// For instances to freeze, and for those that continue from snapshots; made when it is first asked for.
    for_snapshots: OnceLock<Result<wasmtime::Engine, String>>,
    pub(crate) settings: WasmtimeConfig,
}

impl Engines {
    pub(crate) fn new(settings: &WasmtimeConfig) -> Result<Self, CompileError> {
        let config = settings.base()?;
        let on_demand = wasmtime::Engine::new(&config).map_err(|error| refused(&error))?;
        tick(&on_demand);
        let pooled = (settings.pool_slots > 0 && settings.address_space == AddressSpace::Ample)
            .then(|| pooled(config, settings))
            .flatten();
        Ok(Self {
            pooled,
            on_demand,
            pool_memory: settings.pool_memory,
            interruption: settings.interruption,
            for_snapshots: OnceLock::new(),
            settings: settings.clone(),
        })
    }

    /// The engine for instances to freeze, and for those that continue from snapshots.
    pub(crate) fn for_snapshots(&self) -> Result<&wasmtime::Engine, CompileError> {
        let make = || {
            let mut config = self.settings.base()?;
            snapshot::configure(&mut config);
            let engine = wasmtime::Engine::new(&config).map_err(|error| refused(&error))?;
            tick(&engine);
            Ok(engine)
        };
        let made = self
            .for_snapshots
            .get_or_init(|| make().map_err(|error: CompileError| error.to_string()));
        made.as_ref()
            .map_err(|error| CompileError::Invalid(error.clone()))
    }
}

fn refused(error: &wasmtime::Error) -> CompileError {
    CompileError::Invalid(format!("cannot start Wasmtime: {error:#}"))
}

fn pooled(mut config: Config, settings: &WasmtimeConfig) -> Option<wasmtime::Engine> {
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(settings.pool()));
    match wasmtime::Engine::new(&config) {
        Ok(engine) => {
            tick(&engine);
            Some(engine)
        }
        Err(error) => {
            tracing::warn!("no instance pool, instances are allocated singly: {error:#}");
            None
        }
    }
}

/// Moves the engine's epoch at every tick for as long as the engine lives.
fn tick(engine: &wasmtime::Engine) {
    let engine = engine.weak();
    Ticker::register(move || {
        engine.upgrade().is_some_and(|engine| {
            engine.increment_epoch();
            true
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_carries_the_version_that_is_built_in() {
        let lock = include_str!("../../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{VERSION}\"\n")));
        assert!(CODE_VERSION.ends_with(VERSION));
    }

    #[test]
    fn a_pool_that_cannot_be_is_done_without() {
        // More address space than a process has.
        let settings = WasmtimeConfig {
            pool_slots: 1 << 20,
            ..WasmtimeConfig::default()
        };
        let engines = Engines::new(&settings).unwrap();
        assert!(engines.pooled.is_none());
        assert!(Engines::new(&WasmtimeConfig::default()).unwrap().pooled.is_some());
    }

    #[test]
    fn a_limit_below_what_the_pool_reserves_is_scarce() {
        assert_eq!(AddressSpace::under(None, 128), AddressSpace::Ample);
        assert_eq!(AddressSpace::under(Some(1 << 30), 128), AddressSpace::Scarce);
        assert_eq!(AddressSpace::under(Some(64 << 30), 128), AddressSpace::Scarce);
        assert_eq!(AddressSpace::under(Some(1 << 30), 0), AddressSpace::Scarce);
        assert_eq!(AddressSpace::under(Some(4 << 40), 128), AddressSpace::Ample);
    }
}
