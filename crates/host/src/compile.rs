//! A module that is ready to run.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_abi::AbiVersion;
use weir_engine::{Engine, Module};

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
}

impl HostModule {
    /// Checks a module and compiles it. `name`, the file's name, stands in all messages about it.
    pub fn compile(engine: &dyn Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, LoadError> {
        let info = inspect(wasm)?;
        let abi = info.check()?;
        let compiled = engine
            .compile(wasm, &HOST_FUNCS)
            .map_err(|error| weir_engine::explain(engine, wasm, error))?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            digest: Sha256::digest(wasm).into(),
            info,
            abi,
            compiled,
            engine: engine.name(),
        }))
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
        let info = inspect(wasm)?;
        let abi = info.check()?;
        let compiled = engine.load_precompiled(precompiled, &HOST_FUNCS)?;
        let digest = Sha256::digest(wasm).into();
        Ok(Arc::new(Self {
            name: name.to_owned(),
            digest,
            info,
            abi,
            compiled,
            engine: engine.name(),
        }))
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

    pub(crate) fn compiled(&self) -> &dyn Module {
        self.compiled.as_ref()
    }
}
