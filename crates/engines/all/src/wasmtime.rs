//! From an operator's settings of Wasmtime to the engine's.

use weir_config::WasmtimeOptions;
use weir_engine_wasmtime::{Interruption, Profiler, WasmtimeConfig};

/// The configuration of the engine.
pub(crate) fn config(options: WasmtimeOptions) -> WasmtimeConfig {
    WasmtimeConfig {
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
        ..WasmtimeConfig::default()
    }
}
