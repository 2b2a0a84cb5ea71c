//! From an operator's settings of Wasmtime to the engine's.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use weir_compiler::{Compiling, OutOfProcess};
use weir_config::WasmtimeOptions;
use weir_engine::CompileError;
use weir_engine_wasmtime::{AddressSpace, Interruption, Profiler, WasmtimeConfig, WasmtimeEngine};

use crate::{RuntimeOptions, bounds};

/// Starts the engine, whose modules are compiled in a process of their own.
pub(crate) fn open(options: RuntimeOptions) -> Result<OutOfProcess, CompileError> {
    let compiling = Compiling {
        program: options.program,
        bounds: bounds(options.compiler),
        in_process: options.compiler.in_process,
    };
    let config = config(options.wasmtime);
    let engine = Arc::new(WasmtimeEngine::new(&config)?);
    Ok(OutOfProcess::new(engine, config.code_settings(), compiling))
}

/// The configuration of the engine, in the address space that the process may have.
fn config(options: WasmtimeOptions) -> WasmtimeConfig {
    let default = WasmtimeConfig::default();
    let limit = getrlimit(Resource::As).current;
    let address_space = AddressSpace::under(limit, default.pool_slots);
    if let (AddressSpace::Scarce, Some(limit)) = (address_space, limit) {
        tracing::warn!(
            "wasmtime: addresses are limited to {} MiB (`ulimit -v`); VMs reserve 16 MiB each instead of 4 GiB, guest \
             code checks bounds, and there are no snapshots",
            limit >> 20
        );
    }
    WasmtimeConfig {
        address_space,
        interruption: if options.fuel {
            Interruption::Fuel
        } else {
            Interruption::Epochs
        },
        profiler: match options {
            WasmtimeOptions { perf_map: true, .. } => Profiler::PerfMap,
            WasmtimeOptions { jitdump: true, .. } => Profiler::JitDump,
            _ => Profiler::None,
        },
        debug_info: options.debug_info,
        ..default
    }
}
