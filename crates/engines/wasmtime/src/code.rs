//! Machine code: Cranelift makes it, and Wasmtime loads it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use weir_engine::{AheadOfTime, CodeCompiler, CompileError, HostFuncs, Module, Unavailable, Wasm};

use crate::config::{self, Engines};
use crate::module::{Form, WasmtimeModule};

/// Code with the settings of these engines.
#[derive(Clone)]
pub(crate) struct WasmtimeCode(pub Arc<Engines>);

impl AheadOfTime for WasmtimeCode {
    fn code_engine(&self) -> &'static str {
        "wasmtime"
    }

    fn code_key(&self) -> String {
        // Settings and processor, as Wasmtime compares them when it loads code.
        let mut hasher = DefaultHasher::new();
        self.0.on_demand.precompile_compatibility_hash().hash(&mut hasher);
        format!("{}, {:016x}", config::CODE_VERSION, hasher.finish())
    }

    fn compiles_at_load(&self) -> bool {
        true
    }

    fn load_code(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let engines = Arc::clone(&self.0);
        Ok(Arc::new(WasmtimeModule::load(
            engines,
            code,
            funcs,
            Form::Original,
        )?))
    }

    fn compiler(&self) -> Result<Arc<dyn CodeCompiler>, Unavailable> {
        Ok(Arc::new(self.clone()))
    }
}

impl CodeCompiler for WasmtimeCode {
    fn compile_code(&self, wasm: &Wasm<'_>) -> Result<Vec<u8>, CompileError> {
        // All engines generate the same code; the pool has no say in it.
        self.0
            .on_demand
            .precompile_module(wasm.bytes())
            .map_err(|error| CompileError::Invalid(format!("{error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasmtimeConfig;
    use crate::config::CODE_VERSION;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn code_of(config: &WasmtimeConfig) -> WasmtimeCode {
        WasmtimeCode(Arc::new(Engines::new(config).unwrap()))
    }

    #[test]
    fn code_of_another_version_is_refused() {
        let wasmtime = code_of(&WasmtimeConfig::default());
        let mut code = wasmtime.compile_code(&EMPTY.into()).unwrap();
        assert!(wasmtime.load_code(&code, &[]).is_ok());
        let at = code
            .windows(CODE_VERSION.len())
            .position(|bytes| bytes == CODE_VERSION.as_bytes())
            .unwrap();
        code[at] = b'W';
        let error = wasmtime.load_code(&code, &[]).err().unwrap().to_string();
        assert!(error.contains("incompatible version 'Weir"), "{error}");
    }

    #[test]
    fn code_of_equal_settings_has_an_equal_key() {
        use crate::{AddressSpace, Interruption, Profiler};
        let keys = [
            (Interruption::Epochs, AddressSpace::Ample),
            (Interruption::Epochs, AddressSpace::Scarce),
            (Interruption::Fuel, AddressSpace::Ample),
        ]
        .map(|(interruption, address_space)| {
            [false, true].map(|debug_info| {
                let config = WasmtimeConfig {
                    interruption,
                    address_space,
                    debug_info,
                    profiler: Profiler::PerfMap,
                    ..WasmtimeConfig::default()
                };
                let elsewhere = WasmtimeConfig::for_code(&config.code_settings()).unwrap();
                let key = code_of(&elsewhere).code_key();
                assert_eq!(key, code_of(&config).code_key());
                key
            })
        });
        let mut keys = keys.concat();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 6);
        assert_eq!(WasmtimeConfig::for_code("other"), None);
    }

    #[test]
    fn code_of_other_settings_is_refused() {
        let other = code_of(&WasmtimeConfig {
            debug_info: true,
            ..WasmtimeConfig::default()
        });
        let code = other.compile_code(&EMPTY.into()).unwrap();
        let wasmtime = code_of(&WasmtimeConfig::default());
        assert_ne!(wasmtime.code_key(), other.code_key());
        let error = wasmtime.load_code(&code, &[]).err().unwrap();
        assert!(matches!(error, CompileError::Invalid(_)), "{error}");
    }
}
