//! wasmi behind the engine seam: an interpreter in pure Rust, for where no machine code may be generated.
//!
//! wasmi cannot be interrupted from outside, it counts fuel. A guest runs in slices of fuel; between two slices, and
//! after a host function during which the ticker beat, the clock is asked whether the CPU budget is used up, so that a
//! deadline means CPU time here as on the other engines.
//! The one exception is the wasm start section, see `START_FUEL_PER_MILLISECOND` in `instance`.
#![forbid(unsafe_code)]

mod caller;
mod export;
mod instance;
mod link;
mod run;
mod trap;

use std::sync::Arc;

use wasmi::{CompilationMode, Config};
use weir_engine::{CompileError, Declared, Engine, HostFuncs, Module, Wasm};
use weir_engine_support::Ticker;

use instance::WasmiModule;

/// The version of the crate.
const VERSION: &str = "2.0.0";

/// Stack of a guest. It lies on the heap and grows as it is needed, so that no thread's stack bounds it. The interpreter keeps
/// each local and each operand of a function in its frame, where compiled code has registers: a guest that fits into the
/// seam's stack limit when compiled needs several times as much here.
const INTERPRETER_STACK: usize = 2 << 20;

/// Calls within calls of one guest. This bounds memory, not the thread's stack; compiled guests overflow the seam's
/// stack limit at a similar depth.
const RECURSION_LIMIT: usize = 10_000;

/// Interpreter stacks kept for reuse, for as many threads as a large machine has cores.
const CACHED_STACKS: usize = 64;

/// The runtime. One value a process is enough.
pub struct WasmiEngine {
    engine: wasmi::Engine,
}

impl WasmiEngine {
    /// Starts the runtime.
    pub fn new() -> Self {
        Ticker::start();
        let mut config = Config::default();
        config
            .consume_fuel(true)
            // A translation in the middle of a callback would be counted as the guest's.
            .compilation_mode(CompilationMode::Eager)
            .set_max_stack_height(INTERPRETER_STACK)
            .set_max_recursion_depth(RECURSION_LIMIT)
            .set_max_cached_stacks(CACHED_STACKS)
            .ignore_custom_sections(true)
            // The same features as the other engines have, so that a module that loads here loads there.
            .wasm_multi_memory(false)
            .wasm_custom_page_sizes(false)
            .wasm_wide_arithmetic(false);
        Self {
            engine: wasmi::Engine::new(&config),
        }
    }
}

impl Default for WasmiEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for WasmiEngine {
    fn name(&self) -> &'static str {
        "wasmi"
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn declared(&self) -> Declared {
        Declared {
            interrupt: true,
            fuel: true,
            memory_limit: true,
            ..Declared::default()
        }
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let module = wasmi::Module::new(&self.engine, wasm.bytes())
            .map_err(|error| CompileError::Invalid(error.to_string()))?;
        let linker = link::link(&self.engine, &module, funcs)?;
        Ok(Arc::new(WasmiModule { module, linker }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_built_in() {
        let lock = include_str!("../../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmi\"\nversion = \"{VERSION}\"\n")));
    }
}
