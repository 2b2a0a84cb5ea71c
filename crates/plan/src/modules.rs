//! Modules: read, compiled once for each runtime, kept from one configuration to the next.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use weir_config::VmConfig;
use weir_engine::Engine;
use weir_host::HostModule;

use crate::engines::Engines;
use crate::error::PlanError;

/// The first bytes of every WebAssembly module.
const WASM_MAGIC: &[u8] = b"\0asm";

/// Modules by file, runtime and content.
pub(crate) struct Modules {
    engines: Engines,
    known: Mutex<HashMap<Key, Arc<Compiled>>>,
    /// Those of the configuration before.
    previous: HashMap<Key, Arc<Compiled>>,
}

type Key = (PathBuf, String, [u8; 32]);

/// A module, or why there is none. Compiled by the first who asks; others wait for it.
type Compiled = OnceLock<Result<Arc<HostModule>, String>>;

impl Modules {
    /// No modules so far.
    pub fn new(engines: Engines) -> Self {
        Self {
            engines,
            known: Mutex::default(),
            previous: HashMap::new(),
        }
    }

    /// A configuration begins: modules that it does not ask for will be forgotten.
    pub fn begin(&mut self) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.previous.extend(known.drain());
    }

    /// The configuration has asked for all that it needs.
    pub fn end(&mut self) {
        self.previous.clear();
    }

    /// Whether the runtime that a VM names is there.
    pub fn check_runtime(&self, config: &VmConfig) -> Result<&Arc<dyn Engine>, PlanError> {
        self.engines
            .find(&config.runtime.name)
            .ok_or_else(|| PlanError::Runtime {
                place: config
                    .runtime
                    .location
                    .as_ref()
                    .map(|place| format!("{place}: "))
                    .unwrap_or_default(),
                written: config.runtime.written.clone(),
                available: self.engines.names(),
            })
    }

    /// The module of a VM. The error says why there is none.
    pub fn compile(&self, config: &VmConfig) -> Result<Arc<HostModule>, String> {
        let engine = self.check_runtime(config).map_err(|error| error.to_string())?;
        let bytes = std::fs::read(&config.code).map_err(|error| format!("cannot be read: {error}"))?;
        if !bytes.starts_with(WASM_MAGIC) {
            return Err(if bytes.is_empty() {
                "the file is empty".to_owned()
            } else {
                "not a WebAssembly module: it does not begin with \\0asm (machine code compiled ahead of time is taken \
                 from no file yet)"
                    .to_owned()
            });
        }
        let key = (
            config.code.clone(),
            engine.name().to_owned(),
            Sha256::digest(&bytes).into(),
        );
        let compiled = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let previous = self.previous.get(&key).cloned();
            Arc::clone(known.entry(key).or_insert_with(|| previous.unwrap_or_default()))
        };
        let name = config.code.display().to_string();
        compiled
            .get_or_init(|| {
                HostModule::compile(engine.as_ref(), &name, &bytes).map_err(|error| error.to_string())
            })
            .clone()
    }
}
