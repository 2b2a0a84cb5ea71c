//! From an operator's settings of Wasmtime to the engine's.

use rustix::process::{Resource, getrlimit};
use weir_config::WasmtimeOptions;
use weir_engine_wasmtime::{AddressSpace, Interruption, Profiler, WasmtimeConfig};

/// The configuration of the engine, in the address space that the process may have.
pub(crate) fn config(options: WasmtimeOptions) -> WasmtimeConfig {
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
