//! Mutated modules, from their source to a VM: each is refused with a reason, or its VM starts, on Wasmtime and on wasmi.
//!
//! Half of the mutations keep a module valid (`wasm-mutate`), so that they reach what the checks let through.
#![no_main]

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use wasm_mutate::WasmMutate;
use weir_abi::LogLevel;
use weir_config::{CodeSource, Environment, FilterConfig};
use weir_engine::Engine;
use weir_engine_wasmi::WasmiEngine;
use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};
use weir_host::{ForeignFunctions, Shared};
use weir_loader::{FetchError, ModuleSource, Stamp};
use weir_plan::{Planner, Runtimes, Sources};

/// CPU time of each start function: mutated modules often loop.
const START: Duration = Duration::from_millis(50);

/// Linear memory of a VM: more than any seed needs.
const MEMORY: u64 = 4 << 20;

/// The module of this run.
#[derive(Clone, Default)]
struct Input(Arc<Mutex<Vec<u8>>>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fuzz.wasm")
    }
}

impl ModuleSource for Input {
    fn read(&self, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if bytes.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        Ok(bytes)
    }

    fn stamp(&self) -> Option<Stamp> {
        None
    }
}

impl Sources for Input {
    fn open(&self, _code: &CodeSource) -> Arc<dyn ModuleSource> {
        Arc::new(self.clone())
    }
}

/// Plans for both runtimes, made once.
struct Fuzz {
    input: Input,
    planner: Planner,
    filters: Vec<Arc<FilterConfig>>,
}

impl Fuzz {
    fn new() -> Self {
        let wasmtime = WasmtimeEngine::new(&WasmtimeConfig {
            pool_slots: 8,
            ..WasmtimeConfig::default()
        });
        let engines: [Arc<dyn Engine>; 2] = [
            Arc::new(wasmtime.expect("Wasmtime starts")),
            Arc::new(WasmiEngine::new()),
        ];
        let names = engines.iter().map(|engine| engine.name().to_owned());
        let filters = names.map(|name| {
            let mut filter = FilterConfig::stand_in(Path::new(&name), &Environment::empty());
            filter.vm.code = Some(CodeSource::Local("fuzz.wasm".into()));
            filter.vm.limits.memory = MEMORY;
            filter.vm.limits.start_deadline = START;
            filter.vm.limits.callback_deadline = START;
            filter.vm.runtime.name = name;
            Arc::new(filter)
        });
        let filters = filters.collect();
        let input = Input::default();
        let shared = Shared::new(ForeignFunctions::default());
        Self {
            planner: Planner::with_sources(Runtimes::new(engines), shared, input.clone()),
            input,
            filters,
        }
    }

    fn run(&mut self, module: &[u8]) {
        let mut input = self.input.0.lock().unwrap_or_else(PoisonError::into_inner);
        *input = module.to_vec();
        drop(input);
        // Two VMs, each of which is tried.
        let planned = self
            .planner
            .plan(&self.filters, &[], LogLevel::Critical)
            .expect("the runtimes are there");
        assert_eq!(planned.vms.len() + planned.refused.len(), self.filters.len());
        for refusal in &planned.refused {
            assert!(!refusal.to_string().is_empty());
        }
    }
}

static FUZZ: Mutex<Option<Fuzz>> = Mutex::new(None);

fuzz_target!(|module: &[u8]| {
    let mut fuzz = FUZZ.lock().unwrap_or_else(PoisonError::into_inner);
    fuzz.get_or_insert_with(Fuzz::new).run(module);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut mutate = WasmMutate::default();
    mutate.seed(u64::from(seed)).fuel(1000);
    let mutated = mutate
        .run(&data[..size])
        .ok()
        .and_then(|mut all| all.find_map(Result::ok));
    match mutated {
        Some(module) if module.len() <= max_size => {
            data[..module.len()].copy_from_slice(&module);
            module.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});
