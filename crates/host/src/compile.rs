//! A module that is ready to run.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_abi::AbiVersion;
use weir_engine::{CompileError, Engine, Module};

use crate::hostcalls::HOST_FUNCS;
use crate::{LoadError, ModuleInfo, inspect};

/// A module that has passed all checks and is compiled. Shared by all threads.
pub struct HostModule {
    name: String,
    digest: [u8; 32],
    info: ModuleInfo,
    abi: AbiVersion,
    compiled: Arc<dyn Module>,
    engine: &'static str,
    /// Or why its VMs cannot be copied.
    clonable: Result<(), String>,
}

impl HostModule {
    /// Checks a module and compiles it. `name`, the file's name, stands in all messages about it.
    pub fn compile(engine: &dyn Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, LoadError> {
        let not_asked = Err("it was not compiled for that".to_owned());
        Self::make(engine, name, wasm, not_asked, || {
            let compiled = engine.compile(wasm, &HOST_FUNCS);
            compiled.map_err(|error| weir_engine::explain(engine, wasm, error))
        })
    }

    /// As [`HostModule::compile`], and VMs of the module can be copied, if that can be: see [`HostModule::clonable`].
    pub fn compile_clonable(engine: &dyn Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, LoadError> {
        let compiled = engine.prepare_clonable(wasm).and_then(|prepared| {
            let code = engine.precompile(&prepared)?;
            engine.load_clonable(&code, &HOST_FUNCS)
        });
        match compiled {
            Ok(compiled) => Self::make(engine, name, wasm, Ok(()), || Ok(compiled)),
            Err(reason) => {
                let mut module = Self::compile(engine, name, wasm)?;
                if let Some(module) = Arc::get_mut(&mut module) {
                    module.clonable = Err(reason.to_string());
                }
                Ok(module)
            }
        }
    }

    /// Loads a module that `precompiled` holds as machine code, made by the same engine from `wasm`.
    ///
    /// Whoever wrote `precompiled` controls this process: see [`Engine::load_precompiled`].
    pub fn load_precompiled(
        engine: &dyn Engine,
        name: &str,
        wasm: &[u8],
        precompiled: &[u8],
    ) -> Result<Arc<Self>, LoadError> {
        let compiled_before = Err("its code was compiled before".to_owned());
        Self::make(engine, name, wasm, compiled_before, || {
            engine.load_precompiled(precompiled, &HOST_FUNCS)
        })
    }

    fn make(
        engine: &dyn Engine,
        name: &str,
        wasm: &[u8],
        clonable: Result<(), String>,
        compile: impl FnOnce() -> Result<Arc<dyn Module>, CompileError>,
    ) -> Result<Arc<Self>, LoadError> {
        let info = inspect(wasm)?;
        let abi = info.check()?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            digest: Sha256::digest(wasm).into(),
            info,
            abi,
            compiled: compile()?,
            engine: engine.name(),
            clonable,
        }))
    }

    /// Whether VMs of the module can be copied; the error says why not.
    pub fn clonable(&self) -> Result<(), &str> {
        self.clonable.as_ref().copied().map_err(String::as_str)
    }

    /// File name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the module's bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What is known about the module without running it.
    pub const fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// Version of the ABI that the module speaks.
    pub const fn abi(&self) -> AbiVersion {
        self.abi
    }

    /// Name of the runtime that it was compiled for.
    pub const fn engine(&self) -> &'static str {
        self.engine
    }

    pub(crate) fn compiled(&self) -> &(dyn Module + 'static) {
        self.compiled.as_ref()
    }
}
