//! Modules: fetched, compiled once for each runtime, kept from one configuration to the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use weir_config::{CodeSource, VmConfig};
use weir_engine::{CompileError, Engine};
use weir_host::{HostModule, LoadError};
use weir_loader::{FetchError, FetchedModule, FileDigest};
use weir_meters::Meters;

use crate::import_sets::import_sets;
use crate::runtimes::Runtimes;
use crate::sources::Sources;

/// Modules by source, runtime and content.
pub(crate) struct Modules {
    runtimes: Runtimes,
    sources: Box<dyn Sources>,
    meters: Meters,
    known: Mutex<HashMap<Key, Arc<Compiled>>>,
    /// Those of the configuration before.
    previous: HashMap<Key, Arc<Compiled>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    source: CodeSource,
    runtime: &'static str,
    /// True if code that stands beside the module may be used.
    takes_code: bool,
    /// True if VMs continue from a snapshot, for which the module is compiled otherwise.
    for_snapshots: bool,
    /// Of the module and the code beside it.
    digest: FileDigest,
}

/// A module, or why there is none. Compiled by the first who asks; others wait for it.
type Compiled = OnceLock<Result<Arc<HostModule>, Refused>>;

/// Why there is no module.
#[derive(Clone)]
struct Refused {
    reason: String,
    /// False if the reason lies outside of the module, and may be gone the next time.
    lasts: bool,
}

impl From<LoadError> for Refused {
    fn from(error: LoadError) -> Self {
        Self {
            reason: error.to_string(),
            lasts: !matches!(error, LoadError::Compile(CompileError::Compiler(_))),
        }
    }
}

impl Modules {
    /// No modules so far.
    pub fn new(runtimes: Runtimes, sources: impl Sources + 'static, meters: Meters) -> Self {
        Self {
            runtimes,
            sources: Box::new(sources),
            meters,
            known: Mutex::default(),
            previous: HashMap::new(),
        }
    }

    /// Names of the runtimes.
    pub fn runtimes(&self) -> Vec<&'static str> {
        self.runtimes.names()
    }

    /// A configuration begins: modules that it does not ask for will be forgotten. Those that a compiler has failed for will be
    /// compiled again.
    pub fn begin(&mut self) {
        let lasts = |compiled: &Compiled| !matches!(compiled.get(), Some(Err(Refused { lasts: false, .. })));
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.previous
            .extend(known.drain().filter(|(_, compiled)| lasts(compiled)));
    }

    /// The configuration has asked for all that it needs.
    pub fn end(&mut self) {
        self.previous.clear();
    }

    /// The module of a VM. The error says why there is none.
    pub fn compile(&self, config: &VmConfig) -> Result<Arc<HostModule>, String> {
        let engine = self.engine(&config.runtime.name)?;
        let code = config.code.as_ref().ok_or("the filter has no module")?;
        let source = self.sources.open(code);
        let fetched = weir_loader::fetch(source.as_ref(), config.module_file).map_err(|error| {
            let key = match error {
                FetchError::TooLarge { .. } => "; `limits.module_file` sets it",
                _ => "",
            };
            format!("cannot be read: {error}{key}")
        })?;
        let key = Key {
            source: code.clone(),
            runtime: engine.name(),
            takes_code: config.allow_precompiled,
            for_snapshots: config.snapshot.is_some(),
            digest: fetched.digest,
        };
        let compiled = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let previous = self.previous.get(&key).cloned();
            Arc::clone(known.entry(key).or_insert_with(|| previous.unwrap_or_default()))
        };
        let name = source.to_string();
        let load = || {
            let since = Instant::now();
            let loaded = load(engine.as_ref(), config, &name, &fetched).map_err(Refused::from);
            self.meters.compiled(engine.name(), since.elapsed());
            loaded
        };
        let made = compiled.get_or_init(load);
        made.clone().map_err(|refused| refused.reason)
    }

    fn engine(&self, name: &str) -> Result<Arc<dyn Engine>, String> {
        match self.runtimes.open(name) {
            Some(opened) => opened.map_err(|error| format!("the runtime {name} cannot be used: {error}")),
            None => Err(format!("there is no runtime {name}")),
        }
    }
}

/// Loads the code that stands beside the module for the engine, or compiles the module.
fn load(
    engine: &dyn Engine,
    config: &VmConfig,
    name: &str,
    fetched: &FetchedModule,
) -> Result<Arc<HostModule>, LoadError> {
    let file = fetched.file();
    let wasm = file.wasm();
    let not_used = |reason: &dyn std::fmt::Display| {
        tracing::warn!("{name}: the code that the file holds is not used, the module is compiled: {reason}");
    };
    if config.snapshot.is_some() {
        if file.code_for(engine).is_some() {
            not_used(&"snapshot is on, for which the module is compiled otherwise");
        }
        return HostModule::compile_for_snapshots(engine, import_sets(), name, &wasm);
    }
    match file.code_for(engine) {
        Some(Ok(_)) if !config.allow_precompiled => {
            not_used(&"allow_precompiled is not true");
        }
        Some(Ok(code)) => {
            match HostModule::load_code(engine, &*code.ahead, import_sets(), name, &wasm, code.bytes) {
                Err(LoadError::Compile(error)) if !matches!(error, CompileError::Imports(_)) => {
                    not_used(&error)
                }
                loaded => return loaded,
            }
        }
        Some(Err(reason)) => not_used(&reason),
        None => {}
    }
    HostModule::compile(engine, import_sets(), name, &wasm)
}
